"""What makes two configurations of a wallet the same."""

from dataclasses import replace

from gateway.base.effects import Effect
from gateway.profiles import Method
from gateway.rules.config_hash import config_hash

PAIRS = [("ec-1", "http://10.0.0.1:7001/x?y=1"), ("ec-2", "http://10.0.0.2:7001")]


def test_configurations_are_compared_by_names_and_urls() -> None:
    """Whoever they are listed by, and whatever the url says of a password."""
    one = config_hash(PAIRS, ())
    assert len(one) == 64
    assert config_hash(reversed(PAIRS), ()) == one
    assert config_hash([("ec-1", "http://user:pw@10.0.0.1:7001/x?y=1"), PAIRS[1]], ()) == one
    assert config_hash([("ec-1", "http://10.0.0.1:7002/x?y=1"), PAIRS[1]], ()) != one
    assert config_hash([("ec-3", PAIRS[0][1]), PAIRS[1]], ()) != one
    assert config_hash(PAIRS[:1], ()) != one


def test_configurations_are_compared_by_what_methods_may_do() -> None:
    """In whatever order a profile has them, and in whatever words it refuses them."""
    read, pay = Method("getbalance", Effect.WALLET_READ), Method("payto", Effect.SIGN, forbidden={"x": "it pays"})
    one = config_hash(PAIRS, (read, pay))
    assert config_hash(PAIRS, (pay, read)) == one
    assert config_hash(PAIRS, (read, replace(pay, reason="no", forbidden={"x": "pays"}))) == one
    assert config_hash(PAIRS, (replace(read, effect=Effect.ALLOCATE), pay)) != one
    assert config_hash(PAIRS, (read, replace(pay, forbidden={}))) != one
    assert config_hash(PAIRS, (read,)) != one
