"""Draw docs/terminal.txt, a terminal session recorded from real runs and shortened (…), as docs/terminal.svg."""

from __future__ import annotations

import pathlib
import re
from xml.sax.saxutils import escape

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
CHARACTER, LINE, MARGIN, BAR = 7.6, 18, 20, 34
FONT = 'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="12.6"'
# What a line looks like decides its colour; the first that fits.
COLOURS = (
    (r"^\$ ", "#f0f6fc"),
    (r"^(changed:|localhost \| CHANGED)", "#e3b341"),
    (r"^ok:|is installed in|^ +exact: true|msg: Rollback", "#56d364"),
    (r"^Killed|^fatal:|it was interrupted", "#ff7b72"),
    (r"^HOST |^TASK ", "#8b949e"),
    (r"", "#c9d1d9"),
)


def text(line: str, y: float) -> str:
    """One line of the session, commands in bold and their comments dim."""
    colour = next(colour for pattern, colour in COLOURS if re.search(pattern, line))
    body, comment = escape(line), ""
    if line.startswith("$ "):
        command, mark, words = line[1:].partition("  # ")
        body = f'<tspan fill="#58a6ff">$</tspan><tspan font-weight="bold">{escape(command)}</tspan>'
        comment = f'<tspan fill="#8b949e">{escape(mark + words)}</tspan>'
    return (
        f'<text x="{MARGIN}" y="{y:g}" fill="{colour}" textLength="{len(line) * CHARACTER:.1f}" '
        f'xml:space="preserve">{body}{comment}</text>'
    )


def main() -> None:
    """Write the picture."""
    lines = (DOCS / "terminal.txt").read_text(encoding="utf-8").splitlines()
    width = max(map(len, lines)) * CHARACTER + 2 * MARGIN
    height = BAR + len(lines) * LINE + MARGIN
    size = f'width="{width:g}" height="{height:g}" role="img"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:g} {height:g}" {FONT}>',
        "<title>A run is killed in the middle, continued, run again and rolled back</title>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#0d1117"/>',
        *(
            f'<circle cx="{MARGIN + 6 + 18 * number}" cy="17" r="5.5" fill="{colour}"/>'
            for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
    ]
    drawn += [text(line, BAR + (number + 1) * LINE - 4) for number, line in enumerate(lines) if line]
    (DOCS / "terminal.svg").write_text("\n".join([*drawn, "</svg>"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
