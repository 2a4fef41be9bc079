"""The jars of Kafka, which Maven downloads once per user; also a program that downloads them ahead of use."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from online_lstm.atomic_write import remove_abandoned, replacing
from online_lstm.errors import MissingToolError, OnlineLstmError, SettingsError
from online_lstm.home_directory import expand_home

Announce = Callable[[str], None]
"""A function that is called with a line before each step that takes time."""

BOOTSTRAP_VARIABLE = "ONLINE_LSTM_BOOTSTRAP_SERVERS"
KAFKA_VERSION = "4.3.1"

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>online-lstm</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
_COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def write_line(line: str) -> None:
    """Write a line to standard output and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def broker_jars(announce: Announce) -> Path:
    """Return the directory with the jars of Kafka, which Maven downloads once per user.

    Raises:
        MissingToolError: The jars are not downloaded yet, and Maven is missing or cannot download them.
        SettingsError: The directory for the jars cannot be used.
    """
    cache = expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "online-lstm"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock_file = (cache / f"{jars.name}.lock").open("w")
    except OSError as error:
        raise SettingsError(
            f"cannot keep Kafka in {cache}: {error.strerror}; XDG_CACHE_HOME names another directory for it"
        ) from error
    with lock_file as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():  # another process may have downloaded them while this one waited
            _fetch_jars(jars, announce)
    return jars


def _fetch_jars(jars: Path, announce: Announce) -> None:
    maven = require_program("mvn")
    announce(f"fetching Kafka {KAFKA_VERSION} with Maven into {jars} (44 MB, once per user)")
    with replacing(jars, result="libs") as partial:
        partial.mkdir()
        (partial / "pom.xml").write_text(_POM, encoding="utf-8")
        fetched = subprocess.run(  # noqa: S603 - nothing in it comes from outside
            [maven, "-q", "-B", _COPY_JARS, "-DoutputDirectory=libs", "-DincludeScope=runtime"],
            cwd=partial,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if fetched.returncode:
            raise MissingToolError(
                f"Maven could not fetch Kafka {KAFKA_VERSION} (exit code {fetched.returncode}); expected a "
                f"network, or a mirror in Maven's settings.xml. Its last lines:\n{last_lines(fetched.stdout)}"
            )
    remove_abandoned(jars)


def require_program(name: str) -> str:
    """Return the path of a program; raise MissingToolError, with all ways to a broker, if it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(
            f"no Kafka broker can be started on this machine: `{name}` is not installed. Do one of these:\n"
            f"  use a broker you have:     export {BOOTSTRAP_VARIABLE}=HOST:PORT\n"
            "  start Docker:              with it, pip install 'online-lstm[broker]'\n"
            "  install Java 17+ and Maven: apt-get install default-jre-headless maven"
        )
    return path


def last_lines(text: str, count: int = 10) -> str:
    """Return the last lines of a log, indented, without the frames of a Java stack."""
    lines = [line for line in text.splitlines() if not line.startswith("\tat ")]
    return "\n".join(f"  {line}" for line in lines[-count:])


if __name__ == "__main__":
    try:
        broker_jars(write_line)
    except OnlineLstmError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
