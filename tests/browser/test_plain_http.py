"""A lab machine reached by its name over plain http: explorers and forms work, though browsers call that insecure."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from lecture17.widgets.redraws import find_browser

from .lab import PATIENCE, Lab, serve
from .test_second_day import use

NAME = "lab-machine.test"


def test_everything_works_where_the_browser_calls_the_page_insecure(
    browser: Browser, course: Path, tmp_path: Path
) -> None:
    elsewhere = ["--no-sandbox", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    remote = browser.browser_type.launch(executable_path=find_browser(), args=elsewhere)
    with serve(course, tmp_path, "--ServerApp.allow_remote_access=True") as address:
        lab = Lab(remote.new_page(), address.replace("127.0.0.1", NAME))
        use(lab, course, "from_elsewhere.ipynb")
        assert lab.page.evaluate("[isSecureContext, typeof crypto.randomUUID]") == [False, "undefined"]
        lab.page.locator(".lecture17-explorer:visible").get_by_role("button", name="Copy").first.click()
        expect(lab.page.get_by_text("Copy this:")).to_be_visible(timeout=PATIENCE)
        assert lab.complaints == []
    remote.close()
