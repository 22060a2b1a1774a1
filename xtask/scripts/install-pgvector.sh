#!/bin/sh
# Installs the extension pgvector, 0.8 or later, for one installation of PostgreSQL on Debian or
# Ubuntu: the package if there is one, else built from the source package of a newer release.
#
#   sudo sh install-pgvector.sh [/usr/lib/postgresql/15/bin]
#
# Without an argument it takes the newest installation.
#
# The list of that newer release lives in a temporary directory; the machine's own lists of packages
# and sources stay as they are.
set -eu

bin=${1:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}
pg_config=$bin/pg_config
version=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND

has_pgvector() {
    sed -n "s/^default_version = '\(.*\)'/\1/p" \
        "$("$pg_config" --sharedir)/extension/vector.control" 2>/dev/null |
        grep -q -v '^0\.[0-7]\.'
}

install() {
    apt-get install --yes --no-install-recommends "$@"
}

apt-get update
package=postgresql-$version-pgvector
candidate=$(apt-cache policy "$package" | sed -n 's/^  Candidate: //p')
case $candidate in
'' | '(none)') ;;
*) if dpkg --compare-versions "$candidate" ge 0.8; then install "$package"; fi ;;
esac
if has_pgvector; then
    exit 0
fi

. /etc/os-release
case $ID in
debian) suite=trixie component=main ;;
ubuntu) suite=resolute component=universe ;;
*)
    echo "no package $package, and no known source of one for $ID: install pgvector by hand" >&2
    exit 1
    ;;
esac

if ! [ -e "$("$pg_config" --includedir-server)/postgres.h" ]; then
    development=postgresql-server-dev-$version
    # The headers of the very version that runs, which spares an upgrade of the server; where the
    # archive no longer has them, the server is upgraded along.
    installed=$(dpkg-query --show --showformat '${Version}' "postgresql-$version")
    install "$development=$installed" || install "$development"
fi
install gcc libc6-dev make dpkg-dev

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/source"
# The mirror that the machine already uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' "Codename: $VERSION_CODENAME" "Component: $component" | head -n 1)
keyring=/usr/share/keyrings/$ID-archive-keyring.gpg
{
    echo "Types: deb-src"
    echo "URIs: $mirror"
    echo "Suites: $suite"
    echo "Components: $component"
    if [ -e "$keyring" ]; then echo "Signed-By: $keyring"; fi
} >"$work/newer.sources"

# Root reads and writes the directory, which the account `_apt` cannot enter.
newer() {
    apt-get \
        -o Dir::Etc::sourcelist="$work/newer.sources" \
        -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" \
        -o Dir::Cache::pkgcache= \
        -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User=root \
        "$@"
}
newer update
cd "$work/source"
newer source --download-only pgvector
dpkg-source --extract pgvector_*.dsc pgvector

# OPTFLAGS: code for any machine of this architecture rather than for this one alone. Without LLVM
# the extension does the same, and compiles without clang.
make -C pgvector OPTFLAGS= with_llvm=no PG_CONFIG="$pg_config"
make -C pgvector OPTFLAGS= with_llvm=no PG_CONFIG="$pg_config" install
