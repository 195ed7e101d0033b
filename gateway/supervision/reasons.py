"""Why a wallet gives out no address, binds no key and tells no invoice; in words that end in the way out."""

from collections.abc import Sequence

from gateway.ledger.epochs import ADOPTED, DOUBTED, UNADOPTED

LOOK_FIRST = "look through the payouts of that time first, for a key that is missing here would pay once more"


def remedy(wallet: str) -> str:
    """Return what an operator does about a wallet that was used before."""
    return f"`ec-gateway ledger adopt -c FILE --wallet {wallet}` takes its addresses over, once"


def twin(wallet: str, other: str) -> str:
    """Return why two wallets of one ledger cannot have one seed."""
    return (
        f"the wallet {other} of this ledger has the same addresses as {wallet}, and each of them would be given out "
        f"twice; daemons on one seed are one wallet: put these backends under {other}, or, where {other} was renamed "
        f"to {wallet}, rename it back, for what the ledger knows goes by the name"
    )


def several_seeds(wallet: str, sides: Sequence[Sequence[str]]) -> str:
    """Return why a wallet whose daemons do not list the same addresses is not taken over.

    Args:
        sides: names of the backends that list alike; the primary's first.
    """
    told = " and ".join(", ".join(side) for side in sides)
    return (
        f"the backends of {wallet} have different seeds ({told} list other addresses at the same places), and nobody "
        "knows which is meant; take the wrong ones out of the configuration, or let "
        f"`ec-gateway ledger adopt -c FILE --wallet {wallet}` take over what the primary, {sides[0][0]}, lists"
    )


def only_strangers(wallet: str, names: Sequence[str]) -> str:
    """Return why nothing is given out while no daemon lists what the ledger has."""
    return (
        f"no daemon lists the addresses that the ledger has for {wallet} ({', '.join(names)}: another seed), so that "
        "nobody would see a payment to them; put the daemons of that seed into the configuration, or give the wallet "
        "of this one a name of its own"
    )


def other_seed(wallet: str) -> str:
    """Return why such a wallet cannot be adopted."""
    return (
        f"the ledger knows other addresses of the wallet {wallet} than its daemon lists; put the daemons of that seed "
        "into the configuration, or give the wallet of this one a name of its own"
    )


def no_address(state: str, trouble: str, wallet: str) -> str:
    """Return why nothing may be given out; "" when something may, or when daemons were not heard of yet."""
    if trouble or state != UNADOPTED:
        return trouble
    return f"this wallet was used before; {remedy(wallet)}"


def no_key(state: str, trouble: str, wallet: str) -> str:
    """Return why no payment may be bound to a key; "" when one may."""
    if state == DOUBTED:
        return (
            "the daemons have more addresses than the ledger, as after an older copy of it was put back, and keys may "
            f"be missing like them; {LOOK_FIRST}; then {remedy(wallet)}"
        )
    if trouble or state == ADOPTED:
        return trouble
    if state == UNADOPTED:
        return f"the wallet was used before, and no ledger says what was paid; {LOOK_FIRST}; then {remedy(wallet)}"
    return "the wallet's daemons were not looked at yet, and nobody knows whether it was used before"


def no_invoice(state: str, trouble: str, wallet: str) -> str:
    """Return why nobody can be told which invoices there are; "" when that is known."""
    if state in (ADOPTED, DOUBTED):
        return ""
    if trouble:
        return trouble
    if state == UNADOPTED:
        return f"this wallet was used before, and its invoices are not known; {remedy(wallet)}"
    return "the wallet's daemons were not looked at yet, so that nobody knows which invoices it has; ask again soon"
