"""Effects: who may be given what, and what may be repeated."""

from gateway.base.effects import GRANTABLE, OPEN_BY_DEFAULT, Effect


def test_secrets_and_control_can_be_given_to_nobody() -> None:
    """Everything else can be."""
    assert set(Effect) - GRANTABLE == {Effect.SECRET, Effect.CONTROL}


def test_new_clients_get_what_moves_no_money() -> None:
    """Signing and publishing are opened by name."""
    assert {Effect.SIGN, Effect.PUBLISH} == GRANTABLE - OPEN_BY_DEFAULT


def test_reads_change_nothing_and_money_goes_to_the_primary() -> None:
    """No effect is both, and publishing is neither: the same bytes may go anywhere, twice."""
    assert {effect for effect in Effect if effect.is_read} == {Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ}
    assert {effect for effect in Effect if effect.is_money} == {Effect.WRITE, Effect.ALLOCATE, Effect.SIGN}
