# shellcheck shell=bash
# Sourced: container_library VERSION sets `library` to a directory with what tests import, for that Python in a container
# without network; of ansible-core only what it sends to target hosts.
container_library() {
    local version=$1 ansible
    library=$SAGE_TEST_CACHE/unit-$version-$({
        cat "$SAGE_TEST_CHECKOUT/tests/requirements/unit.txt" "$SAGE_TEST_CHECKOUT/tests/run/steps/library.sh"
        echo "$SAGE_TEST_TOOLS"
    } | sha256sum | cut -c1-16)
    [ ! -d "$library" ] || return 0
    uv pip install --quiet --python-version "$version" --target "$library.$$" --only-binary :all: \
        -r "$SAGE_TEST_CHECKOUT/tests/requirements/unit.txt"
    ansible=$(python -c 'import ansible, os; print(os.path.dirname(ansible.__file__))')
    mkdir "$library.$$/ansible"
    : >"$library.$$/ansible/__init__.py"
    cp -a "$ansible/module_utils" "$library.$$/ansible/"
    # Another one may have made it meanwhile.
    mv -T "$library.$$" "$library" 2>/dev/null || rm -rf "$library.$$"
}
