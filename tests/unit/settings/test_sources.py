"""Settings from flags, environment and file: one rule for a value, and no name that is read in silence."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from online_lstm.cli import main
from online_lstm.cli.options import settings_of
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.settings import Settings, is_list, parse_assignments, read_settings

LINKS = {
    "ONLINE_LSTM_SERVICE_HOST": "10.0.0.7",
    "ONLINE_LSTM_SERVICE_PORT": "9108",
    "ONLINE_LSTM_SERVICE_PORT_METRICS": "9108",
    "ONLINE_LSTM_PORT": "tcp://10.0.0.7:9108",
    "ONLINE_LSTM_PORT_9108_TCP": "tcp://10.0.0.7:9108",
    "ONLINE_LSTM_PORT_9108_TCP_PROTO": "tcp",
    "ONLINE_LSTM_PORT_9108_TCP_PORT": "9108",
    "ONLINE_LSTM_PORT_9108_TCP_ADDR": "10.0.0.7",
    "ONLINE_LSTM_PAGE_SERVICE_HOST": "10.0.0.8",
    "ONLINE_LSTM_PAGE_PORT": "udp://10.0.0.8:80",
}


def from_flag(name: str, text: str, _: Path) -> Settings:
    return read_settings({name: text}, environment={})


def from_assignment(name: str, text: str, _: Path) -> Settings:
    return read_settings(parse_assignments([f"{name}={text}"]), environment={})


def from_environment(name: str, text: str, _: Path) -> Settings:
    return read_settings(environment={f"ONLINE_LSTM_{name.upper()}": text})


def from_text_in_file(name: str, text: str, folder: Path) -> Settings:
    return from_file(name, f'"{text}"', folder)


def from_file(name: str, text: str, folder: Path) -> Settings:
    config = folder / "settings.toml"
    config.write_text(f"{name} = {text}\n", encoding="utf-8")
    return read_settings(config=config, environment={})


TEXTS = (from_flag, from_assignment, from_environment, from_text_in_file)
SOURCES = (*TEXTS, from_file)


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("window", "64.0", 64), ("learn", "true", True), ("learn", "1", True), ("beta_1", "0.5", 0.5), ("top_k", "7", 7)],
)
def test_a_value_is_read_alike_from_all_sources(
    read: Any, name: str, text: str, expected: object, tmp_path: Path
) -> None:
    """As text, or as what TOML has for it."""
    assert expected == getattr(read(name, text, tmp_path), name)


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_streams", "true"),
        ("window", "true"),
        ("learning_rate", "true"),
        ("window", "64.5"),
        ("window", "-1"),
        ("learn", "2"),
        ("learn", "1.0"),
        ("learning_rate", "nan"),
        ("drift_threshold", "inf"),
        ("epsilon", "-inf"),
        ("max_output_bytes", "-1"),
        ("horizons", "true"),
    ],
)
def test_a_value_is_refused_alike_from_all_sources(read: Any, name: str, text: str, tmp_path: Path) -> None:
    """A truth value is no number, a number with a fraction no integer, and what is not finite nothing at all."""
    with pytest.raises(SettingsError, match=rf"^{name}: received .*{text}.*, expected "):
        read(name, text, tmp_path)


@pytest.mark.parametrize("read", TEXTS)
@pytest.mark.parametrize("word", ["yes", "on", "TRUE", "t"])
def test_words_for_truth_are_the_same_everywhere(read: Any, word: str, tmp_path: Path) -> None:
    """In a file as in a variable."""
    assert read("learn", word, tmp_path).learn


@pytest.mark.parametrize("read", TEXTS)
def test_blanks_around_a_value_are_left_out(read: Any, tmp_path: Path) -> None:
    """Variables that a shell or a secret gave a line's end are read as they were meant."""
    for name, text, expected in (
        ("task", " number ", "number"),
        ("learn", " false ", False),
        ("input_topics", " a , b ", ("a", "b")),
        ("group_id", " g ", "g"),
    ):
        assert expected == getattr(read(name, text, tmp_path), name)
    assert ("lstm 32",) == read("task", " number ", tmp_path).network


@pytest.mark.parametrize("read", [from_flag, from_assignment, from_text_in_file])
@pytest.mark.parametrize("text", ["", "  "])
def test_no_value_is_refused_where_one_was_written(read: Any, text: str, tmp_path: Path) -> None:
    """An option or a key is there on purpose; a list, a number and a text alike."""
    for name in ("window", "group_id", "value_path", "input_topics", "checkpoint_url", "sasl_username"):
        with pytest.raises(SettingsError, match=f"^{name}: received '{text}', expected "):
            read(name, text, tmp_path)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_is_not_given(name: str) -> None:
    """Compose files and shells set a variable to nothing where there is no value."""
    for text in ("", " \n"):
        read = read_settings(environment={f"ONLINE_LSTM_{name.upper()}": text})
        assert set() == read.model_fields_set
        assert Settings() == read


def test_an_integer_in_a_file_may_be_a_text_setting(tmp_path: Path) -> None:
    """As in a variable, which has nothing but text."""
    assert "7" == from_file("group_id", "7", tmp_path).group_id


def test_dates_in_a_file_are_read(tmp_path: Path) -> None:
    """TOML has them without quotation marks, with or without a time."""
    start = from_file("start_from", "2026-01-31T12:00:00Z", tmp_path).start_from
    assert datetime(2026, 1, 31, 12, tzinfo=UTC) == datetime.fromisoformat(start)
    assert "2026-01-31" == from_file("start_from", "2026-01-31", tmp_path).start_from


@pytest.mark.parametrize("text", ["[window]\nsize = 64\n", "[group_id]\nname = 1\n", "group_id = [1]\n"])
def test_tables_and_lists_are_no_single_values(text: str, tmp_path: Path) -> None:
    """Neither becomes a number or a text."""
    config = tmp_path / "settings.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=r"^(window|group_id): received .*, expected a valid (integer|string)"):
        read_settings(config=config, environment={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window = 64\nWindow = 32\n", "^Window: there is no such setting; window is one"),
        ("window = 64\nwindow = 32\n", "^config: .*settings.toml: Cannot overwrite a value"),
        ("[learning]\nwindow = 32\n", "^learning: there is no such setting"),
        ("input-topics = 'a'\n", "^input-topics: there is no such setting; input_topics is one"),
    ],
)
def test_names_of_a_file_are_exact(text: str, message: str, tmp_path: Path) -> None:
    """A name that differs in case, is there twice, or is a section's, is not read in silence."""
    config = tmp_path / "settings.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_settings(config=config, environment={})


def test_names_of_variables_are_in_capitals() -> None:
    """Two that differ in case would be one setting; all that is wrong is told at once."""
    environment = {"ONLINE_LSTM_WINDOW": "64", "Online_Lstm_Window": "32", "online_lstm_top_k": "3"}
    with pytest.raises(SettingsError) as error:
        read_settings(environment=environment)
    assert [
        "environment variable Online_Lstm_Window: expected capitals, ONLINE_LSTM_WINDOW",
        "environment variable online_lstm_top_k: expected capitals, ONLINE_LSTM_TOP_K",
    ] == str(error.value).splitlines()


def test_variables_of_kubernetes_services_are_ignored() -> None:
    """A Service that is named as the daemon does not keep it from starting."""
    assert Settings() == read_settings(environment=LINKS)


def test_ignored_variables_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A daemon beside such a Service starts, and says which variables it does not read."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("online_lstm.logs.configure", lambda **_: None)
    monkeypatch.setattr("online_lstm.cli.run.run", lambda _: None)
    with caplog.at_level("INFO"):
        assert ExitCode.OK == main.main(["run"])
    assert [f"variables of Kubernetes Services ignored names={','.join(sorted(LINKS))}"] == caplog.messages[1:]


@pytest.mark.parametrize("name", ["ONLINE_LSTM_SERVICE_PORTS", "ONLINE_LSTM_PORT", "ONLINE_LSTM_PORT_X_TCP"])
def test_what_kubernetes_does_not_make_is_still_refused(name: str) -> None:
    """A slip does not pass for a Service."""
    with pytest.raises(SettingsError, match=f"environment variable {name}: there is no such setting"):
        read_settings(environment={name: "9108"})


def test_a_setting_that_kubernetes_made_is_told_with_the_way_out() -> None:
    """The port of a Service named online-lstm-http has the name of a setting."""
    with pytest.raises(SettingsError) as error:
        read_settings(environment={"ONLINE_LSTM_HTTP_PORT": "tcp://10.0.0.7:9108"})
    message = str(error.value)
    assert message.startswith("environment variable ONLINE_LSTM_HTTP_PORT: received 'tcp://10.0.0.7:9108'")
    assert "a Service named online-lstm-http" in message
    assert "`enableServiceLinks: false`" in message


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfwindow = 32\n", b"window = 32\r\n"])
def test_files_of_other_systems_are_read(content: bytes, tmp_path: Path) -> None:
    """With a byte order mark, and with other ends of lines."""
    config = tmp_path / "settings.toml"
    config.write_bytes(content)
    assert 32 == read_settings(config=config, environment={}).window


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'top = 3\ngroup_id = "\xff"\n', r"line 2: received b'\\xff', expected TOML in UTF-8"),
        ("window = 32\n".encode("utf-16"), r"line 1: received b'\\xff', expected TOML in UTF-8"),
    ],
)
def test_a_file_in_another_encoding_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    """With the line that is no UTF-8."""
    config = tmp_path / "settings.toml"
    config.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_settings(config=config, environment={})


def test_a_directory_is_no_file_of_settings(tmp_path: Path) -> None:
    """Nor is what cannot be read."""
    with pytest.raises(SettingsError, match=r"^config: cannot read .*: Is a directory; expected a TOML file"):
        read_settings(config=tmp_path, environment={})


def test_a_pipe_of_settings_is_read_once_for_all(tmp_path: Path) -> None:
    """``--config <(...)``: also by a command that reads its settings several times."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("window = 32\n",))
    writer.start()
    arguments = main.build_parser().parse_args(["run", "--config", str(pipe)])
    writer.join()
    assert [32, 32] == [settings_of(arguments).window for _ in range(2)]


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if is_list(name)])
def test_a_list_may_be_given_in_several_options(name: str) -> None:
    """They add up, with run and with --set; one option may hold several."""
    option = f"--{name.replace('_', '-')}"
    parsed = main.build_parser().parse_args(["run", option, "a", f"{option}=b,c"])
    assert "a,b,c" == getattr(parsed, name)
    assert {name: "a,b,c"} == parse_assignments([f"{name}=a", f"{name}=b,c"])


def test_both_topics_of_two_options_are_read() -> None:
    """None of them is dropped."""
    parsed = main.build_parser().parse_args(["run", "--input-topics", "a", "--input-topics", "b"])
    assert ("a", "b") == settings_of(parsed).input_topics


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run", "--window", "3", "--window", "4"], "window: received '3' and '4', expected it once"),
        (["run", "--sasl-password", "a", "--sasl-password", "b"], "sasl_password: received (secret), expected it once"),
        (["backtest", "x", "--set", "top_k=3", "--set", "top_k=3"], "top_k: received '3' and '3', expected it once"),
        (["run", "--config", "{config}", "--config", "b.toml"], "config: received a second file, b.toml, expected one"),
        (["run", "--window="], "window: received '', expected a value; leave it out for the default"),
        (["run", "--config="], "config: cannot read .: Is a directory; expected a TOML file of settings"),
    ],
)
def test_an_option_is_given_once_and_with_a_value(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two values one would be dropped in silence."""
    config = tmp_path / "settings.toml"
    config.touch()
    assert ExitCode.USAGE == main.main([part.format(config=config) for part in argv])
    assert f"online-lstm: {message}\n" == capsys.readouterr().err


@pytest.mark.parametrize("read", TEXTS)
def test_a_home_directory_is_expanded_in_every_path(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory that is called ~ is made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ck").touch()
    for name in ("sasl_password_file", "ssl_cafile", "ssl_certfile", "ssl_keyfile", "warm_start", "checkpoint_url"):
        assert str(tmp_path / "ck") == str(getattr(read(name, "~/ck", tmp_path), name))
    assert "s3://a//~b" == read("checkpoint_url", "s3://a//~b", tmp_path).checkpoint_url


def test_a_home_that_is_not_known_is_told(tmp_path: Path) -> None:
    """A user that there is not has none."""
    with pytest.raises(SettingsError, match="~nobody-of-this-name/ck: no home directory is known; set HOME, or give"):
        from_flag("checkpoint_url", "~nobody-of-this-name/ck", tmp_path)
    with pytest.raises(SettingsError, match="~nobody-of-this-name/x: no home directory is known"):
        read_settings(config=Path("~nobody-of-this-name/x"), environment={})
