"""The main job, walked in a real browser against a whole demo, in both languages."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import steps
from tests.e2e.conftest import People, RunningDemo, shoot, wait_for_charts
from tests.e2e.ssh_client import SshHome

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(600)]


def log_in(page: Page, home: SshHome) -> str:
    """Go through the door with the page's command: another host key or a file left behind would fail it."""
    shown = page.locator("[data-ssh-command]").first.inner_text()
    came = home.run(shown, 'echo "$USER" && echo weights > model.bin && pwd')
    assert came.returncode == 0, came.stderr
    assert shown.endswith(f"{came.stdout.split()[0]}@127.0.0.1")
    assert page.locator("#access dd code").nth(2).inner_text() in home.fingerprints()
    copied = home.run(page.locator("[data-copy-command]").first.inner_text())
    assert copied.returncode == 0, copied.stderr
    archive = next(home.folder.glob("lease-*.tar.gz"))
    assert archive.read_bytes()[:2] == b"\x1f\x8b"
    return shown


def work(page: Page, home: SshHome, shown: str) -> "subprocess.Popen[bytes]":
    """Start a simulated training through SSH on the first GPU of the reservation and see it on the page."""
    row = page.locator("#lease-live tbody tr").first
    index = row.locator("th").inner_text().rsplit("/", 1)[-1].strip()
    job = f'python -m simulator run --state "$NVML_SIM_STATE" --gpu {index} --mem 60000 -- sleep 600'
    process = home.start(shown, job)
    try:
        expect(row.locator("td").nth(1)).to_have_text(re.compile(r"^\s*([5-9]\d|100)\s*$"), timeout=steps.LONG_MS)
    except AssertionError as error:
        error.add_note(f"the session's exit status: {process.poll()}; the page:\n{page.locator('main').inner_text()}")
        raise
    return process


@pytest.mark.parametrize("language", ["en", "ko"])
def test_from_an_agreement_to_a_measured_gpu(demo: RunningDemo, people: People, language: str, tmp_path: Path) -> None:
    steps.open_agreement(people, demo, language)
    page = people.page(demo.account("manager", "Upstage"), language=language)
    steps.open_form(page, title=steps.TITLE, gpus=8, hours=100)
    steps.ask_past_the_ceiling(page)
    address = steps.submit(page)
    steps.award(people, demo, address, language=language, gpus=4, gpu_hours=400)
    steps.accept(page, address)
    expect(page.locator("main")).to_contain_text("400.00")
    expect(page.locator("main")).to_contain_text("800.00")  # what was asked stays beside what was given
    shoot(page, f"proposal-{language}")
    steps.book_now(page, gpus=4, language=language)
    home = SshHome.with_key(tmp_path, demo.folder / "keys" / "manager")
    steps.download_certificate(page, home.certificate)
    shown = log_in(page, home)
    process = work(page, home, shown)
    try:
        wait_for_charts(page)
        shoot(page, f"lease-{language}")
        fleet = people.page(demo.account("officer"), language=language)
        fleet.goto("/staff/")
        wait_for_charts(fleet)
        shoot(fleet, f"fleet-{language}")
        fleet.close()
        steps.release(page)
        assert process.wait(30) != 0  # the node ended it
    finally:
        process.kill()
    refused = home.run(shown, "true")
    assert refused.returncode == 255 and "Permission denied" in refused.stderr
    shoot(page, f"lease-ended-{language}")
    lease = page.url.rstrip("/").rsplit("/", 1)[-1]
    audit = people.page(demo.account("auditor"), language=language)
    audit.goto(f"/staff/audit/?target={lease}")
    for verb in ("lease.book", "lease.hand_over", "lease.release", "lease.cleaned"):
        expect(audit.locator("main")).to_contain_text(verb)
