#!/bin/sh
# Install the Debian packages of those named programs that are missing:
#
#     deploy/system-packages.sh java mvn prometheus docker-compose chromium npm nginx
#
# Root installs them; anyone else is told the command. Neither a refusal nor a failure ends the build: what
# cannot do without a program says so itself.
set -u

java_package() {
    # Kafka needs Java 17, the default of some releases is older
    if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        echo openjdk-17-jre-headless
    else
        echo default-jre-headless
    fi
}

package_of() {
    case "$1" in
        java) java_package ;;
        mvn) echo maven ;;
        nginx) echo nginx-light ;;
        *) echo "$1" ;;
    esac
}

is_there() {
    command -v "$1" >/dev/null 2>&1
}

install() {
    # RUNLEVEL=1 keeps a package from starting its service; systemd does not ask for it
    env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$1" </dev/null >/dev/null || return
    if [ "$1" = prometheus ] && [ -d /run/systemd/system ]; then
        systemctl --quiet disable --now prometheus
    fi
}

missing=
for program in "$@"; do
    is_there "$program" || missing="$missing $program"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "not installed:$missing; install them with this system's package manager"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    echo "not installed:$missing; updating the list of Debian packages"
    apt-get update -qq -o DPkg::Lock::Timeout=300 </dev/null || echo "the list could not be updated; going on with the old one"
fi

packages=
for program in $missing; do
    packages="$packages $(package_of "$program")"
done
if [ "$(id -u)" -ne 0 ]; then
    echo "not installed:$missing; to install them: sudo apt-get install --no-install-recommends$packages"
    exit 0
fi
for package in $packages; do
    echo "installing $package with apt"
    install "$package" || echo "apt could not install $package; going on without it"
done
