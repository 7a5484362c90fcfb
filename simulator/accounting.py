"""The driver's accounting: what each process used of a device, kept after its end until the ring comes round."""

from __future__ import annotations

from typing import Any

from simulator import layout


def note(view: Any, index: int, jobs: list[Any], seconds: float) -> None:
    """Count some seconds for the jobs on a device, where accounting is on; others on its list have ended."""
    ledger = view.ledgers[index]
    if not view.devices[index].accounting_mode or view.devices[index].mig_mode:
        return
    known = {account.pid: account for account in ledger.accounts if account.pid}
    running = {slot.pid for slot in jobs}
    for pid, account in known.items():
        account.running = int(pid in running)
    for slot in jobs:
        account = known.get(slot.pid)
        if account is None:
            account = ledger.accounts[ledger.written % layout.MAX_ACCOUNTS]
            ledger.written += 1
            account.pid, account.running, account.start_us = slot.pid, 1, slot.registered_ns // 1000
            account.memory_bytes, account.seconds, account.busy, account.memory_busy = 0, 0.0, 0.0, 0.0
        account.memory_bytes = max(account.memory_bytes, slot.memory_bytes)
        account.seconds += seconds
        account.busy += slot.sm_util * seconds
        account.memory_busy += slot.mem_util * seconds
