"""What alerts, orders and switches are called in English, and what is left to do about each.

Rule: what is left to do fits into one breath; docs/alerts.md has the chapter.
"""

ALERTS = {
    "all_down": (
        "no daemon serves",
        (
            "With launchers wait a minute: they are restarted. Without, start a daemon as you always did. "
            "Drained by order: undrain one."
        ),
    ),
    "below_half": (
        "fewer than half of the daemons serve",
        "Nothing tonight while the rest carries it; in the morning look at the daemons that are out.",
    ),
    "stuck": (
        "{daemon} does not answer",
        (
            "The gateway goes round it and restarts it where it has a launcher. If it hangs again, look "
            "what else has a connection to it open."
        ),
    ),
    "waiting": (
        "a call waits for long",
        "Mostly the chain server is silent: wait. If many wait, somebody sends more than the daemons can answer.",
    ),
    "failures": (
        "calls fail in a row",
        "Nothing goes there until a trial succeeds. If it goes on, read its own log and restart it.",
    ),
    "memory": (
        "{daemon} takes much memory",
        "Restart it now, in the right way, before the kernel kills it.",
    ),
    "no_help": (
        "a restart does not lower the memory",
        "Raise preventive.memory_share, or give the daemon more memory.",
    ),
    "restarted": ("{daemon} was restarted", "Nothing. Several in a day are worth a look at its log."),
    "restart_failed": (
        "a restart failed",
        "The gateway tries again. Look at the step that is named: launcher, password or chain server.",
    ),
    "failed": (
        "{daemon} was restarted too often",
        "Repair what the failed restarts say, then restart it here; hold it while you are at it.",
    ),
    "launcher": (
        "{daemon} cannot be restarted",
        "Look at the launcher: does the engine run, does the container exist, has the gateway the rights?",
    ),
    "not_loaded": (
        "a wallet cannot be loaded",
        "Correct wallet_password, or put the wallet file where the daemon looks. It is tried again by itself.",
    ),
    "room_failed": (
        "a part of the gateway failed",
        "Report the line room.failed of the log. If something stands still, restart the gateway.",
    ),
    "adrift": (
        "{daemon} is adrift",
        "Others serve in its place. Without a launcher and wallet_password load its wallet by hand.",
    ),
    "all_adrift": (
        "every daemon is adrift",
        "It is not the daemons: look at the chain server, the network, DNS. Restarting is of no use.",
    ),
    "diverged": (
        "daemons disagree about the balance",
        "Compare getbalance and history on each by hand. Restart the odd one, else `ec-gateway reinit`.",
    ),
    "wrong_seed": (
        "{daemon} holds another seed",
        "Do not pay to its addresses. Put the right wallet file in its place: `ec-gateway reinit`.",
    ),
    "pool_low": (
        "the address pool runs low",
        "Repair the primary, or the standby that is not aligned; at 0 new addresses wait.",
    ),
    "unknown_outcome": (
        "the outcome of a call is not known",
        "See below under unresolved outcomes: read the state back, tell the client, resolve it.",
    ),
    "held_long": (
        "coins are held for a payment that does not come",
        "If the client will never broadcast it, `ec-gateway outcome KEY --abandon` releases them.",
    ),
    "read_only": (
        "the ledger cannot be written",
        "Make room on the disk or put the file back; the gateway goes on by itself. Put no older copy in its place.",
    ),
    "not_adopted": (
        "the wallet waits to be adopted",
        "It was used before: run `ec-gateway ledger adopt` once.",
    ),
    "no_addresses": (
        "a wallet gives out no address",
        "Take the daemons with another seed out of the configuration, as the text says.",
    ),
    "doubted": (
        "the ledger is older than its wallet",
        "Compare the payouts of that time with the chain first, then run `ec-gateway ledger adopt`.",
    ),
    "unsafe": (
        "the database may lose what it has committed",
        "Have the standby waited for (synchronous_standby_names), or switch on what the text names.",
    ),
    "no_holder": (
        "no gateway holds a wallet",
        "Look at the database of the ledger: it does not answer, is read-only, or is of another version or key.",
    ),
    "gateways": (
        "gateways that share a wallet disagree",
        "Give each a name of its own, and all the same backends, profile and secret; set their clocks.",
    ),
    "cut_off": (
        "a gateway does not reach the one that holds a wallet",
        "Look from this machine: is cluster.address of the holder right, does a firewall stand between?",
    ),
}

ORDERS = {
    "restart": (
        "Restart",
        "Restart {backend}?",
        "It finishes its calls, saves its wallet, and is stopped and started; others serve meanwhile.",
    ),
    "drain": ("Drain", "Drain {backend}?", "It finishes its calls and gets no more, until you undrain it."),
    "undrain": ("Undrain", "Undrain {backend}?", "It gets calls again."),
    "hold": ("Hold", "Hold {backend}?", "Nothing restarts it, whatever happens, until you release it."),
    "release": ("Release", "Release {backend}?", "The gateway restarts it again when it must."),
    "promote": (
        "Promote",
        "Make {backend} the primary?",
        "It gives out addresses and signs from then on; the present primary becomes a standby.",
    ),
    "handover": (
        "Hand over",
        "Hand the wallet {wallet} over to another gateway?",
        "Calls under way end first; then another gateway holds it.",
    ),
    "resolve": (
        "Resolve",
        "Resolve this outcome?",
        "It is marked as seen by you, and told no more. The gateway sends nothing.",
    ),
}

SWITCHES = {
    "freeze": ("Freeze", "It accepts connections and answers nothing."),
    "thaw": ("Thaw", "It goes on where it stood."),
    "kill": ("Kill", "Its process is gone at once; what it had not saved is lost."),
    "wedge": ("Wedge", "One connection keeps it busy for ever."),
    "leak": ("Leak", "Each call takes more memory."),
    "slow": ("Slow", "Each call takes three seconds more."),
    "lose_chain": ("Lose chain", "The connection to its chain server is gone."),
    "heal": ("Heal", "Everything is over."),
}
