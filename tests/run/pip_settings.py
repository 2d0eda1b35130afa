"""Prints pip's settings, those from the environment too, as one pip.conf: ansible-test passes no variables on."""

from __future__ import annotations

import ast
import os
import subprocess
import sys


def main() -> None:
    """Later lines of `pip config list` win, as they do for pip; commands' own sections stay apart."""
    sections: dict[str, dict[str, str]] = {"global": {}}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        name, _equals, value = line.partition("=")
        section, _dot, key = name.rpartition(".")
        section = "global" if section == ":env:" else section
        sections.setdefault(section, {})[key] = str(ast.literal_eval(value))
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if proxy:
        sections["global"].setdefault("proxy", proxy)
    if "cert" not in sections["global"] and os.environ.get("SSL_CERT_FILE"):
        sections["global"]["cert"] = os.environ["SSL_CERT_FILE"]
    # Tests ask dead indexes, too: these need no patience.
    for key in ("config-file", "retries"):
        sections["global"].pop(key, None)
    for section, settings in sections.items():
        print(f"[{section}]")
        for key, value in settings.items():
            # A value of several lines is continued by indented ones.
            print(f"{key} = {value.strip()}".replace("\n", "\n    "))


if __name__ == "__main__":
    main()
