"""The ledger: what must be true tomorrow, written down before anybody hears of it.

    schema      the tables
    store       one transaction after another on SQLite, durable before it returns; errors as one kind
    addresses   the pool, what was handed out
    takeover    first contact, adoption, what is added to the list afterwards
    epochs      who is primary, since when, and the fence against answers of an older one
    intents     money calls, written down before their first byte
    invoices    what addrequest answered, and what was paid
    payments    keys, held inputs, what was spent
    broadcasts  published bytes, and what the chain said
    marks       labels and freezes, as their last value
    orders      what an operator asked the running gateway to do
    outcomes    what became of payments, for whoever asks
    events      what happened, bounded
    history     incidents, restarts, orders of people, the seconds of each day
    opening     opens a ledger whole and up to date, or says why not (place, lasting: where it lies; seen: whether it is
                the one that was last open here; key_file, key_of: its key; remedies: what helps)
    backup      copies it while it is in use, and puts a copy back
    migrations  the way from any earlier version to this one
    retention   what is thrown out, and when
    check       looks a ledger through
    export      writes it out

Rule: everything but the store is plain functions of an open connection and of the time, so that tests, the
simulation in virtual time and another engine run the very same statements.
"""
