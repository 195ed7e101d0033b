"""What is worth telling: from views, from events, and never with an address or a key in it."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.base.care import Alerts
from gateway.base.events import Event
from gateway.rules import health
from gateway.rules.conditions import BackendView, WalletView, conditions, places
from gateway.rules.heard import ENDS, LEAVES, Heard, forget, hear
from gateway.rules.kinds import DAY, HOUR, ROWS, Condition, Key, Kind, blot

LIMITS = Alerts()
WELL = BackendView("ec-1")
DOWN = BackendView("ec-1", is_serving=False, kind=health.Kind.WEDGED, reason="silent")
DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"


def held(*views: WalletView, heard: Heard = Heard()) -> dict[Key, Condition]:  # noqa: B008 - frozen
    """What holds, by key."""
    found = list(conditions(views, heard, LIMITS))
    by_key = {condition.key: condition for condition in found}
    assert len(by_key) == len(found)
    return by_key


def kinds(*views: WalletView, heard: Heard = Heard()) -> set[str]:  # noqa: B008 - frozen
    """The kinds of what holds and is a reason to tell."""
    return {str(one.kind) for one in held(*views, heard=heard).values() if not one.is_quiet}


def wallet(*backends: BackendView) -> WalletView:
    """A wallet with backends of these states, named in order."""
    return WalletView("main", tuple(replace(one, name=f"ec-{n + 1}") for n, one in enumerate(backends)))


def after(*events: Event, at: float = 0.0) -> Heard:
    """What is remembered of events."""
    heard = Heard()
    for event in events:
        heard = hear(heard, event, at)
    return heard


def of(name: str, backend: str = "ec-1", **fields: object) -> Event:
    """An event of main."""
    return Event(name, "main", backend, fields)


# -- service --------------------------------------------------------------------------------------------------


def test_a_wallet_that_is_well_has_no_condition() -> None:
    """Nothing to tell."""
    assert held(wallet(WELL, WELL, WELL)) == {}


def test_a_wallet_of_which_nothing_serves_is_all_down() -> None:
    """Below half as well; that is hushed by the other."""
    assert kinds(wallet(DOWN)) == {"all_down", "below_half"}
    condition = held(wallet(DOWN, DOWN))[Kind.ALL_DOWN, "main", ""]
    assert condition.text == "main answers nothing (ec-1: silent; ec-2: silent)"
    assert condition.facts == {"serving": 0, "backends": 2}


@pytest.mark.parametrize(("serving", "missing", "is_below"), [(1, 1, False), (1, 2, True), (2, 1, False), (2, 3, True)])
def test_below_half_is_fewer_than_half(serving: int, missing: int, *, is_below: bool) -> None:
    """One of two is half."""
    assert kinds(wallet(*[WELL] * serving, *[DOWN] * missing)) == ({"below_half"} if is_below else set())


def test_what_is_out_by_intent_is_no_outage() -> None:
    """Drained, or starting for the first time: somebody knows."""
    excused = replace(DOWN, is_excused=True)
    drained = replace(excused, is_drained=True)
    assert kinds(wallet(excused, excused)) == set()
    assert kinds(wallet(excused, drained)) == set()
    assert kinds(wallet(WELL, drained, drained)) == set()
    assert kinds(wallet(WELL, excused, excused)) == set()
    assert kinds(wallet(excused, DOWN)) == {"all_down", "below_half"}


def test_an_order_that_keeps_a_daemon_down_is_named() -> None:
    """Whoever held it may have gone home."""
    condition = held(wallet(replace(DOWN, is_held=True)))[Kind.ALL_DOWN, "main", ""]
    assert condition.text == "main answers nothing (ec-1: silent, and held by order)"


def test_a_wallet_whose_daemons_are_all_drained_is_all_down() -> None:
    """Whoever ordered it may have forgotten one, or that there is no other; a planned restart hushes no drain."""
    drained = replace(DOWN, is_excused=True, is_drained=True)
    condition = held(wallet(drained))[Kind.ALL_DOWN, "main", ""]
    assert (condition.text, condition.is_quiet) == ("main answers nothing (ec-1: drained by order)", False)
    assert held(wallet(DOWN, drained))[Kind.ALL_DOWN, "main", ""].text == (
        "main answers nothing (ec-1: silent; ec-2: drained by order)"
    )
    assert held(WalletView("main")) == {}


@pytest.mark.parametrize("cause", ["order", "cron", "age", "memory"])
def test_a_planned_restart_is_no_reason_to_begin_to_tell(cause: str) -> None:
    """With one daemon everything is down for a moment, at a time that somebody chose; the condition is quiet."""
    away = replace(DOWN, is_in_care=True)
    planned = after(of("restart.begun", cause=cause))
    assert kinds(wallet(away), heard=planned) == set()
    assert held(wallet(away), heard=planned)[Kind.ALL_DOWN, "main", ""].is_quiet
    # another one is missing that nobody meant to take out
    assert kinds(wallet(away, DOWN), heard=planned) == {"all_down", "below_half"}


@pytest.mark.parametrize("end", ["backend.ejected", "backend.failed", "backend.warming", "restart.failed"])
def test_a_planned_restart_excuses_until_its_end(end: str) -> None:
    """Ended badly or well: what is out afterwards was not meant to be."""
    heard = after(of("restart.begun", cause="cron"), of(end))
    assert "all_down" in kinds(wallet(replace(DOWN, is_in_care=True)), heard=heard)


def test_a_restart_of_a_sick_daemon_excuses_nothing() -> None:
    """It was taken out because it was sick, and clients have seen that."""
    heard = after(of("restart.begun", cause="wedged"))
    assert "all_down" in kinds(wallet(replace(DOWN, is_in_care=True)), heard=heard)


# -- a backend ------------------------------------------------------------------------------------------------


def test_a_daemon_that_accepts_or_answers_nothing_for_long_is_stuck() -> None:
    """Ten seconds by default; one that is being restarted has alerts of its own."""
    assert kinds(wallet(replace(WELL, silent_for=9.9))) == set()
    stuck = wallet(replace(WELL, silent_for=10.0, reason="refuses connections"))
    assert (
        held(stuck)[Kind.STUCK, "main", "ec-1"].text
        == "ec-1 has accepted or answered nothing for 10 s: refuses connections"
    )
    assert kinds(wallet(replace(WELL, silent_for=10.0))) == {"stuck"}
    assert kinds(wallet(replace(WELL, silent_for=10.0, is_in_care=True))) == set()


def test_three_failures_in_a_row_are_told() -> None:
    """Two are not."""
    assert kinds(wallet(replace(WELL, failures=2))) == set()
    assert kinds(wallet(replace(WELL, failures=3))) == {"failures"}


def test_memory_is_told_above_its_share() -> None:
    """At 80 % it is not above; where nothing is known there is nothing to tell."""
    assert kinds(wallet(replace(WELL, memory_share=0.8))) == set()
    assert kinds(wallet(WELL)) == set()
    found = held(wallet(replace(WELL, memory_share=0.874)))[Kind.MEMORY, "main", "ec-1"]
    assert found.text == "ec-1 takes 87% of the memory that it may take"
    assert found.facts == {"share": 0.874}


def test_one_adrift_is_its_own_and_all_adrift_is_the_wallet_s() -> None:
    """When all drift the cause is elsewhere; with one daemon nobody can tell."""
    adrift = replace(WELL, kind=health.Kind.ADRIFT, reason="its wallet is not synced")
    assert kinds(wallet(WELL, adrift)) == {"adrift"}
    assert kinds(wallet(adrift)) == {"adrift"}
    assert kinds(wallet(adrift, adrift)) == {"adrift", "all_adrift"}
    assert ROWS[Kind.ADRIFT].under is Kind.ALL_ADRIFT


def test_a_daemon_that_could_not_be_restarted_is_told() -> None:
    """While it serves as well: at three in the morning it is too late.  What a command said is not shown."""
    found = held(wallet(replace(WELL, launcher_error="status ended with code 1: it said «hunter2»; run it")))
    text = (
        "ec-1 could not be restarted now, and nobody else would do it: status ended with code 1: it said «see the log»"
    )
    assert found[Kind.LAUNCHER, "main", "ec-1"].text == text + "; run it"
    assert ROWS[Kind.LAUNCHER].delay > 0


def test_a_primary_with_other_addresses_holds_another_seed() -> None:
    """As status says of it."""
    assert kinds(wallet(replace(WELL, is_stranger=True))) == {"wrong_seed"}


# -- a wallet -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"longest_wait": 10.0}, "waiting"),
        ({"pool_share": 0.33}, "pool_low"),
        ({"broadcasts_unknown": 1}, "unknown_outcome"),
        ({"held_for": DAY}, "held_long"),
        ({"ledger_error": "disk I/O error"}, "read_only"),
        ({"is_unadopted": True}, "not_adopted"),
        ({"why_no_address": "two seeds"}, "no_addresses"),
        ({"is_unadopted": True, "why_no_address": "two seeds"}, "no_addresses"),
        ({"is_doubted": True}, "doubted"),
        ({"has_no_holder": True}, "no_holder"),
        ({"has_no_holder": True, "why_not_held": "of another version"}, "no_holder"),
        ({"why_not_held": "of another version"}, "gateways"),
    ],
)
def test_each_fact_of_a_wallet_makes_its_condition(change: dict[str, object], kind: str) -> None:
    """And no other."""
    assert kinds(replace(wallet(WELL), **change)) == {kind}  # type: ignore[arg-type]  # of the right kinds


def test_limits_are_not_reached_from_below() -> None:
    """The last value that is well."""
    view = replace(wallet(WELL), longest_wait=9.9, pool_share=0.34, held_for=DAY - 1)
    assert held(view) == {}


def test_why_this_gateway_cannot_take_a_wallet_over_is_told_with_what_follows() -> None:
    """That nobody has it, or that nobody would have it next; a password of its is not told."""
    why = "postgresql://u:secret@db is of a newer ec-gateway; run that one"
    said = "postgresql://***@db is of a newer ec-gateway; run that one"
    found = held(WalletView("main", has_no_holder=True, why_not_held=why))[Kind.NO_HOLDER, "main", ""]
    assert found.text == f"no gateway is known to hold main, so that none of its calls is answered: {said}"
    assert found.facts == {"reason": said}
    found = held(WalletView("main", why_not_held=why))[Kind.GATEWAYS, "main", ""]
    assert found.text == f"another gateway holds main, and this one could not take it over: {said}"
    assert held(WalletView("main", has_no_holder=True))[Kind.NO_HOLDER, "main", ""].facts == {}


def test_a_ledger_that_cannot_be_written_is_told_once_for_all_wallets() -> None:
    """It is one ledger."""
    views = [WalletView(name, (WELL,), ledger_error="disk full") for name in ("main", "other")]
    assert list(held(*views)) == [(Kind.READ_ONLY, "", "")]


def test_a_database_that_may_forget_is_told_once_also_where_no_wallet_is_held() -> None:
    """Each gateway tells it, for each would refuse it at its next start."""
    why = "the database has fsync off; set fsync = on"
    views = [WalletView("main", (WELL,), ledger_unsafe=why), WalletView("other", ledger_unsafe=why)]
    for seen in (views, views[1:]):
        found = held(*seen)
        assert list(found) == [(Kind.UNSAFE, "", "")]
        assert found[Kind.UNSAFE, "", ""].text == f"payments may be forgotten: {why}"
    assert ROWS[Kind.UNSAFE].is_of_gateway, "where nothing is held it closes as elsewhere"


# -- events ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, (kind, _) in LEAVES.items()])
def test_each_event_leaves_its_mark(name: str, kind: Kind) -> None:
    """A look would find nothing of it."""
    heard = after(of(name, reason="because"))
    assert kinds(wallet(WELL), heard=heard) == {str(kind)}
    (mark, _), *_ = heard.marks.values()
    assert mark.text.endswith(": because")


OF_BACKENDS = [(name, kind) for name, ended in ENDS.items() for kind in ended if kind is not Kind.UNKNOWN_OUTCOME]


@pytest.mark.parametrize(("name", "kind"), OF_BACKENDS)
def test_each_event_takes_its_marks_away(name: str, kind: Kind) -> None:
    """And no mark of another backend."""
    causes = {left: of(event) for event, (left, _) in LEAVES.items()}
    causes[Kind.LAUNCHER] = of("restart.failed", serves_on=True)
    cause = causes[kind]
    heard = after(cause, replace(cause, backend="ec-2"), of(name))
    assert [key for key in heard.marks if key[0] is kind] == [(kind, "main", "ec-2")]


def test_an_event_of_no_interest_changes_nothing() -> None:
    """Not even the object: this is asked for every event there is."""
    heard = after(of("restart.failed"))
    assert hear(heard, of("backend.suspected"), 1.0) is heard


def test_a_restart_that_failed_names_the_step() -> None:
    """The person on call begins there."""
    heard = after(of("restart.failed", step="load", took=60.0, reason="wrong password"))
    found = held(wallet(WELL), heard=heard)[Kind.RESTART_FAILED, "main", "ec-1"]
    assert found.text == "ec-1 could not be restarted (at: load): wrong password"
    assert found.facts == {"reason": "wrong password", "step": "load", "took": 60.0}


def test_a_restart_that_failed_before_anything_was_stopped_leaves_no_lasting_mark() -> None:
    """The daemon serves on, so that no event would ever say that it does again; three minutes of a warning tell it."""
    heard = after(of("restart.failed", step="look", reason="no such container", serves_on=True, cause="order"))
    found = held(wallet(WELL), heard=heard)
    assert list(found) == [(Kind.LAUNCHER, "main", "ec-1")]
    assert found[Kind.LAUNCHER, "main", "ec-1"].text == (
        "ec-1 could not be restarted, and serves on (at: look): no such container"
    )
    assert forget(heard, places([wallet(WELL)]), 179.0).marks == heard.marks
    assert forget(heard, places([wallet(WELL)]), 180.0).marks == {}
    # where it does not serve, the mark stays until it does
    sick = after(of("restart.failed", step="look", reason="no such container"))
    assert forget(sick, places([wallet(WELL)]), 90_000.0).marks == sick.marks


def test_unknown_outcomes_are_the_wallet_s_and_counted() -> None:
    """Whichever daemon it was there is one thing to do; after an hour without another one it is over."""
    one, other = of("call.outcome_unknown", method="payto", client="shop"), of("call.outcome_unknown", "ec-2")
    heard = hear(hear(Heard(), one, 0.0), other, 100.0)
    found = held(wallet(WELL), heard=heard)[Kind.UNKNOWN_OUTCOME, "main", ""]
    assert (found.count, found.facts) == (2, {"backend": "ec-2"})
    views = [wallet(WELL, WELL)]
    assert forget(heard, places(views), 99.0 + HOUR).marks == heard.marks
    assert forget(heard, places(views), 100.0 + HOUR).marks == {}


def test_unknown_outcomes_are_over_when_a_person_has_spoken_of_all() -> None:
    """Of this wallet; those of others are others'."""
    heard = after(of("call.outcome_unknown"), Event("call.outcome_unknown", "savings", "ec-1"))
    heard = hear(heard, Event("outcome.all_resolved", "main"), 1.0)
    assert list(heard.marks) == [(Kind.UNKNOWN_OUTCOME, "savings", "")]


def test_an_unknown_outcome_of_an_earlier_life_names_no_backend() -> None:
    """The gateway ended before it was sent anywhere that is known."""
    heard = after(of("call.outcome_unknown", "", method="payto"))
    assert held(wallet(WELL), heard=heard)[Kind.UNKNOWN_OUTCOME, "main", ""].facts == {"method": "payto"}


def test_a_wallet_that_nobody_tries_to_load_any_more_is_forgotten() -> None:
    """It is tried every two minutes at least; what has taken its wallet by another hand tells no event."""
    heard = after(of("wallet.not_loaded", reason="wrong password"))
    assert held(wallet(WELL), heard=heard)[Kind.NOT_LOADED, "main", "ec-1"].text == (
        "ec-1 does not load its wallet: wrong password"
    )
    assert forget(heard, places([wallet(WELL)]), 599.0).marks == heard.marks
    assert forget(heard, places([wallet(WELL)]), 600.0).marks == {}


def test_a_part_that_failed_is_the_wallet_s() -> None:
    """The mistake is ours, and whatever daemon it was about is a fact."""
    heard = after(of("room.failed", room="supervisor", error="KeyError: secret"))
    found = held(wallet(WELL), heard=heard)[Kind.ROOM_FAILED, "main", ""]
    assert (found.text, found.facts) == (
        "a part of the gateway failed, and the log says how (room supervisor)",
        {"room": "supervisor", "backend": "ec-1"},
    )
    heard = after(of("room.failed", "", room="keeper"))
    assert held(wallet(WELL), heard=heard)[Kind.ROOM_FAILED, "main", ""].facts == {"room": "keeper"}


def test_a_holder_that_is_not_reached_is_told_until_it_is() -> None:
    """Of the wallet, in the words of whoever found out; the next holder ends it as well."""
    unreached = of(
        "lease.holder_unreached", "", holder="gw-2", reason="gw-2, which holds main, is not reached from here"
    )
    heard = after(unreached)
    found = held(wallet(WELL), heard=heard)[Kind.CUT_OFF, "main", ""]
    assert found.text == (
        "calls that come to this gateway are not answered: gw-2, which holds main, is not reached from here"
    )
    assert forget(heard, places([wallet(WELL)]), 9.0 * HOUR).marks == heard.marks
    assert after(unreached, of("lease.holder_reached", "", holder="gw-2")).marks == {}


def test_what_is_so_now_says_more_than_what_was_heard() -> None:
    """Both have one key, and one condition is told."""
    view = replace(wallet(WELL), broadcasts_unknown=2)
    assert held(view, heard=after(of("call.outcome_unknown")))[Kind.UNKNOWN_OUTCOME, "main", ""].facts == {
        "broadcasts": 2
    }


def test_marks_of_what_is_no_more_are_forgotten() -> None:
    """A reload took the backend out, and nobody would ever end its alert."""
    heard = after(of("restart.failed", "ec-9"), of("restart.failed"), of("restart.begun", "ec-9", cause="cron"))
    left = forget(heard, places([wallet(WELL)]), 0.0)
    assert [key[2] for key in left.marks] == ["ec-1"]
    assert left.planned == frozenset()


# -- what no message may hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu",
        "L1aW4aubDFB7yfras2S1mN3bqg9nwySY8nkoLmJebSLD5BWv3ENZ",
        "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
    ],
)
def test_addresses_and_keys_are_blotted_out(secret: str) -> None:
    """Whatever a daemon puts into an error that is quoted."""
    heard = after(of("restart.failed", reason=f"cannot load {secret}: broken"))
    texts = [str((one.text, one.facts)) for one in held(wallet(WELL), heard=heard).values()]
    view = replace(wallet(replace(DOWN, reason=f"says {secret}", silent_for=60.0)), ledger_error=f"no {secret}")
    texts += [str((one.text, one.facts)) for one in held(view).values()]
    assert len(texts) == 5
    assert not any(secret.rpartition(":")[2] in text for text in texts)
    assert any("***: broken" in text for text in texts)


def test_passwords_in_urls_are_blotted_out() -> None:
    """Nobody should write them there, and some do."""
    assert blot("http://user:hunter2@wallet:7777 refuses") == "http://***@wallet:7777 refuses"


@pytest.mark.parametrize("said", ["pw=hunter2", "two\nlines hunter2", "hunter2 and cut of"])
def test_what_a_command_said_is_in_no_message(said: str) -> None:
    """It may have said anything; the log has it."""
    end = "" if said.endswith("of") else "»; run launcher.stop by hand"
    heard = after(of("restart.failed", reason=f"stop ended with code 1: it said «{said}{end}"))
    found = held(wallet(WELL), heard=heard)[Kind.RESTART_FAILED, "main", "ec-1"]
    assert "hunter2" not in found.text + str(found.facts)
    assert "it said «see the log»" in found.text


@pytest.mark.parametrize("value", ["its wallet is not synced", "gateway.status", 3, 0.5, True])
def test_what_is_no_secret_stays(value: object) -> None:
    """Numbers stay numbers."""
    assert blot(value) == value
    assert type(blot(value)) is type(value)


def test_every_kind_is_settled() -> None:
    """A row for each."""
    assert set(ROWS) == set(Kind)


def test_a_wallet_is_here_where_its_daemons_are_seen() -> None:
    """Of one that another gateway holds none is."""
    assert WalletView("main", (WELL,)).is_here
    assert not WalletView("main", has_no_holder=True).is_here
