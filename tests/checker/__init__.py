"""The checker: many clients against gateways and three wallets under faults, judged from the outside afterwards.

    plan       which faults, when: from a seed
    world      the processes, and what an operator or an accident does to them
    restarts   the same where the gateway starts the daemons (launched: their lives; daemon: one of them)
    cluster    the same with several gateways (network: their ways; database: what they share; attributed: a daemon
               that writes down who called)
    clients    one call over HTTP, written down; what the clients do
    history    what is written down, and how it is read again
    evidence   everything of a run in one object: histories, journals, chain
    judge      the invariants, each a function of the evidence (judge_money, judge_time, judge_restarts, judge_cluster
               too; excuses: what a fault excuses)
    report     one page about a run
    run        one run from start to verdict
    planted    the gateway with a rule taken away, to show that the checker misses it

Rule: the verdict comes from what clients were told, what daemons executed and what the chain holds; never from the
gateway's own log, ledger or metrics.
"""
