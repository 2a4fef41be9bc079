from pathlib import Path
from typing import Any, get_args

import pytest
from online_lstm.errors import SettingsError
from online_lstm.settings import KIND_MEANINGS, Settings, kind_of, parse_assignments, read_settings, require_consistent
from online_lstm.settings.presets import PRESETS, TASKS


def test_every_setting_has_a_description_and_a_kind() -> None:
    """No setting is without a kind and a description, and the kinds are the three that are explained."""
    for name, field in Settings.model_fields.items():
        assert kind_of(field) in KIND_MEANINGS, name
        assert field.description, name


def test_the_kinds_share_out_all_settings() -> None:
    """Each setting is of one kind, and of all tasks or of one."""
    shared_out = {
        name
        for task in TASKS
        for kind in KIND_MEANINGS
        for name in read_settings({"task": task, "lookback": 4096}).of_kind(kind)
    }
    assert set(Settings.model_fields) == shared_out


@pytest.mark.parametrize(("task", "other"), [("symbol", {"horizons": (5,)}), ("number", {"top_k": 9})])
def test_a_setting_of_another_task_changes_no_shape(task: str, other: dict[str, int]) -> None:
    """Whoever sets it needs no new group for it."""
    assert read_settings({"task": task}).shape_digest() == read_settings({"task": task, **other}).shape_digest()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lags": "1,2", "horizons": 3}, "lags: received 1, 2, expected at most 64, from 3 .the horizon. to 512"),
        ({"lags": "513"}, "lags: received 513"),
        ({"lags": ",".join(map(str, range(1, 66)))}, "expected at most 64"),
        ({"seasonal_periods": "2,3,4"}, "seasonal_periods: received 2, 3, 4, expected at most 2"),
        ({"seasonal_periods": "65", "lookback": 256}, "of at most 64 events"),
        ({"horizons": 65, "lookback": 256}, "horizons: received 65, expected at most 64"),
        ({"value_format": "string"}, "value_format: received string"),
        ({"lags": "2,4", "horizons": "1-5"}, "lags: received 2, 4, .* one of them 5 or more"),
        ({"features": 3, "tolerance": "1,2"}, "tolerance: received 2 numbers, expected one, or 3"),
        ({"features": 100, "horizons": "1-5"}, "received 100 numbers at 5 horizons, expected at most 397 together"),
        (
            {"experts": "lstm,suffix_memory"},
            "expected lstm, alone or with some of linear, neighbours, as task is number",
        ),
    ],
)
def test_settings_of_numbers_have_to_fit_each_other(given: dict[str, Any], message: str) -> None:
    """Told at once, by every command; symbols do not mind."""
    with pytest.raises(SettingsError, match=message):
        read_settings({"task": "number", **given})
    if "experts" not in given:
        read_settings(given)


def test_flags_precede_environment_precedes_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearer to the command, the stronger."""
    config = tmp_path / "settings.toml"
    config.write_text("window = 1\nseed = 1\ntop_k = 1\n")
    monkeypatch.setenv("ONLINE_LSTM_WINDOW", "2")
    monkeypatch.setenv("ONLINE_LSTM_SEED", "2")
    settings = read_settings({"window": "3"}, config=config)
    assert (3, 2, 1) == (settings.window, settings.seed, settings.top_k)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("5", (5,)), (5, (5,)), ("1,2, 5", (1, 2, 5)), ("3,1-4", (1, 2, 3, 4)), ([1, 24], (1, 24)), ("7-7", (7,))],
)
def test_horizons_are_numbers_and_ranges(given: Any, expected: tuple[int, ...]) -> None:
    """In any order; each counts once."""
    assert expected == read_settings({"horizons": given}).horizons


@pytest.mark.parametrize("given", ["", "0", "1-", "5-1", "a", "513", "1.5", []])
def test_horizons_that_are_none_are_refused(given: Any) -> None:
    """With the name of the setting."""
    with pytest.raises(SettingsError, match="horizons: received"):
        read_settings({"horizons": given})


def test_a_tolerance_is_one_for_all_or_one_for_each() -> None:
    """As text or as a number."""
    assert (0.5,) == read_settings({"tolerance": 0.5}).tolerance
    assert (0.5, 2.0) == read_settings({"task": "number", "features": 2, "tolerance": "0.5, 2"}).tolerance
    with pytest.raises(SettingsError, match="tolerance: received"):
        read_settings({"tolerance": 0})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"network": "lstm 32, lstm 16"}, ("lstm 32", "lstm 16")),
        ({"network": ["lstm 8"]}, ("lstm 8",)),
    ],
)
def test_lists_may_be_written_with_commas(given: dict[str, Any], expected: tuple[str, ...]) -> None:
    """A list of names is one text in a flag, and a list in a file."""
    assert expected == read_settings(given).network


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window": "0"}, "window: received '0', expected greater than or equal to 1"),
        ({"window": "many"}, "window: received 'many', expected a valid integer"),
        ({"input_topics": "a,,b"}, "input_topics: received 'a,,b', expected 1 to 249 letters"),
        ({"input_topics": ""}, "input_topics: received '', expected 1 to 249 letters"),
        ({"bootstrap_servers": "localhost:abc"}, "bootstrap_servers: received 'localhost:abc', expected host:port"),
        ({"bootstrap_servers": "a:1,b"}, "bootstrap_servers: received 'a:1,b', expected host:port"),
        ({"bootstrap_servers": "localhost:65536"}, "with a port from 1 to 65535"),
        ({"output_topic": "a b"}, "output_topic: received 'a b', expected 1 to 249 letters"),
        ({"session_timeout_s": "0.1"}, "session_timeout_s: received '0.1', expected greater than or equal to 1"),
        ({"on_gap": "ignore"}, "on_gap: received 'ignore', expected 'refuse' or 'continue'"),
        ({"task": "chess"}, "task: received 'chess', expected 'symbol'"),
        ({"start_from": "yesterday"}, "start_from: received 'yesterday', expected earliest, latest or a time"),
        ({"beta_1": "1"}, "beta_1: received '1', expected less than 1"),
        ({"learning_rate": "nan"}, "learning_rate: received 'nan', expected "),
        ({"epsilon": "inf"}, "epsilon: received 'inf', expected "),
        ({"colour": "red"}, "colour: there is no such setting; `online-lstm run --help` lists them"),
    ],
)
def test_a_wrong_value_says_what_was_received_and_expected(given: dict[str, Any], message: str) -> None:
    """The message names the setting, what it got and what it takes."""
    with pytest.raises(SettingsError) as error:
        read_settings(given)
    assert message in str(error.value)


@pytest.mark.parametrize("servers", ["localhost:9092", "a-b.c:1,d:65535", "[::1]:9092", "[fe80::1%eth0]:9092"])
def test_brokers_are_named_by_host_and_port(servers: str) -> None:
    """Names, addresses of both kinds, and several of them."""
    assert tuple(servers.split(",")) == read_settings({"bootstrap_servers": servers}).bootstrap_servers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_topics": "a", "output_topic": "a"}, "is an output topic too"),
        ({"output_topic": "numbers.dlq"}, "expected a topic other than output_topic"),
        ({"input_topics": "a" * 249}, "expected a name of at most 249 characters"),
        ({"security_protocol": "SASL_SSL"}, "sasl_username, sasl_password: expected both"),
        ({"max_poll_interval_s": 5}, "expected at least session_timeout_s, 10"),
    ],
)
def test_settings_that_do_not_go_together(given: dict[str, Any], message: str) -> None:
    """What is right one by one may be wrong together."""
    with pytest.raises(SettingsError, match=message):
        require_consistent(read_settings(given))


def test_all_wrong_values_are_told_at_once() -> None:
    """One line for each, so that nobody corrects them one run at a time."""
    with pytest.raises(SettingsError) as error:
        read_settings({"window": "0", "seed": "-1"})
    assert ["window", "seed"] == [line.partition(":")[0] for line in str(error.value).splitlines()]


def test_an_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in a variable's name does not pass for the default."""
    monkeypatch.setenv("ONLINE_LSTM_WINDOWS", "32")
    with pytest.raises(
        SettingsError, match="environment variable ONLINE_LSTM_WINDOWS: there is no such setting; ONLINE_LSTM_WINDOW is"
    ):
        read_settings()


def test_a_wrong_variable_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was received is told wherever it came from."""
    monkeypatch.setenv("ONLINE_LSTM_WINDOW", "wide")
    with pytest.raises(SettingsError, match="window: received 'wide'"):
        read_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windows = 3\n", "windows: there is no such setting; window is one"),
        ("window = = 3\n", "config: .*settings.toml"),
    ],
)
def test_a_wrong_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    """Unknown names and text that is no TOML are told with their place."""
    config = tmp_path / "settings.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_settings(config=config)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for is not skipped."""
    with pytest.raises(SettingsError, match=r"config: no file .*absent\.toml"):
        read_settings(config=tmp_path / "absent.toml")


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a representation nor an error has the password."""
    settings = read_settings({"sasl_password": "hush"})
    assert "hush" == settings.password()
    assert "hush" not in repr(settings)
    monkeypatch.setenv("ONLINE_LSTM_SASL_PASSWORD", "hush")
    with pytest.raises(SettingsError) as error:
        read_settings({"window": "0"})
    assert "hush" not in str(error.value)


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    """The file goes before the value, without the line's end."""
    file = tmp_path / "password"
    file.write_text("from the file\n")
    settings = read_settings({"sasl_password": "given", "sasl_password_file": file})
    assert "from the file" == settings.password()


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    """The setting and the file are in the message."""
    settings = read_settings({"sasl_password_file": tmp_path / "absent"})
    with pytest.raises(SettingsError, match=r"sasl_password_file: .*absent"):
        settings.password()


def test_settings_are_frozen() -> None:
    """What was read holds to the end."""
    with pytest.raises(ValueError, match="frozen"):
        read_settings().window = 3


def test_the_shape_digest_follows_the_shape_settings_only() -> None:
    """A lineage is named by what decides the outputs, not by where they go or how fast is learned."""
    digest = read_settings().shape_digest()
    assert digest == read_settings({"output_topic": "elsewhere", "learning_rate": "0.5"}).shape_digest()
    assert digest != read_settings({"window": "63"}).shape_digest()


def test_dead_letters_go_beside_their_topic() -> None:
    """Without a name for it, every input topic has a dead-letter topic of its own."""
    assert "numbers.dlq" == read_settings().dead_letters_of("numbers")
    assert "letters" == read_settings({"dead_letter_topic": "letters"}).dead_letters_of("numbers")


def test_assignments_are_pairs() -> None:
    """A value may have an equals sign in it, a name may not be missing."""
    assert {"value_path": "a=b", "top_k": ""} == parse_assignments(["value_path=a=b", "top_k="])
    with pytest.raises(SettingsError, match="--set: received 'window', expected NAME=VALUE"):
        parse_assignments(["window"])
    with pytest.raises(SettingsError, match="--set: received '=3', expected NAME=VALUE"):
        parse_assignments(["=3"])


@pytest.mark.parametrize(
    "given",
    [
        {"output_topic": "numbers"},
        {"dead_letter_topic": "numbers"},
        {"dead_letter_topic": "predictions"},
        {"input_topics": "a,a.dlq"},
    ],
)
def test_a_topic_is_not_read_and_published_to(given: dict[str, Any]) -> None:
    """A daemon that reads what it publishes would never end; predictions and dead letters are kept apart."""
    with pytest.raises(SettingsError, match=r"input_topics|dead_letter_topic"):
        require_consistent(read_settings(given, environment={}))


def test_a_preset_changes_defaults_and_nothing_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the place it is named in, every value that is given anywhere is stronger."""
    config = tmp_path / "settings.toml"
    config.write_text('preset = "plain"\nretry_steps = 3\n')
    monkeypatch.setenv("ONLINE_LSTM_EPSILON", "0.5")
    settings = read_settings({"network": "lstm 8"}, config=config)
    assert (("lstm 8",), 3, 0.5) == (settings.network, settings.retry_steps, settings.epsilon)
    assert (0, 0.0) == (settings.replay_buffer_size, settings.lr_gate_loss)
    assert ("lstm 16",) == read_settings({"preset": "plain"}).network


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 1000),
        ({"model_scope": "partition"}, 20_000),
        ({"model_scope": "partition", "max_streams": 7}, 7),
        ({"model_scope": "partition", "task": "number"}, 1000),
        ({"task": "label"}, 1000),
    ],
    ids=str,
)
def test_more_streams_are_kept_where_each_holds_little(given: dict[str, Any], expected: int) -> None:
    """Streams of symbols that share what they learn are small; a given number counts in any case."""
    assert expected == read_settings(given, environment={}).max_streams


def test_presets_speak_of_settings_that_decide_what_is_learned() -> None:
    """Each value is one that its setting takes, of a kind that belongs to the lineage, and other than the default."""
    defaults = read_settings()
    for preset, values in PRESETS.items():
        read = read_settings({"preset": preset})
        for name, value in values.items():
            assert kind_of(Settings.model_fields[name]) in {"shape", "learning"}
            assert value == getattr(read, name)
            assert value != getattr(defaults, name)


def test_every_preset_that_can_be_named_is_described() -> None:
    """The choices of the setting are the presets that there are."""
    assert list(PRESETS) == list(get_args(Settings.model_fields["preset"].annotation))


def test_a_preset_names_the_lineage_by_what_it_means() -> None:
    """The same settings given one by one are the same shape; an unknown preset is refused."""
    shape = {name: value for name, value in PRESETS["plain"].items() if name in read_settings().of_kind("shape")}
    assert read_settings({"preset": "plain"}).shape_digest() == read_settings(shape).shape_digest()
    assert read_settings({"preset": "plain"}).shape_digest() != read_settings().shape_digest()
    with pytest.raises(SettingsError, match="preset: received 'fast', expected 'default' or 'plain'"):
        read_settings({"preset": "fast"})
