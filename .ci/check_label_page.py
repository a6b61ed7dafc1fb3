#!/usr/bin/env python3
"""Labels images on the page of `simclr label` in headless Chromium, by keys as people do, and
fails if the table of labels is not what was typed.

    .ci/check_label_page.py [--screenshot FILE] target/release/simclr FOLDER_OF_IMAGES

Needs what check_pages.py needs."""

import argparse, csv, pathlib, re, subprocess, sys, tempfile, time

from check_pages import Browser, find_browser

KEYS = ["1", "2", "u", "3", "s", "1"]
EXPECTED = ["flow-in", "soupy", None, "flow-in"]


def press(browser, key):
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")
    # The answer is there when the page is no longer busy.
    for _ in range(100):
        time.sleep(0.02)
        if not browser.evaluate("busy"):
            return
    sys.exit(f"nothing came of the key {key}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--screenshot", type=pathlib.Path)
    arguments = parser.parse_args()
    images = sorted(path for path in arguments.images.iterdir() if path.is_file())[:5]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        queue, out = folder / "queue.csv", folder / "labels.csv"
        queue.write_text("".join(f"{name}\n" for name in ["image", *(path.name for path in images)]))
        command = [arguments.program, "label", "--queue", queue, "--images", arguments.images,
                   "--classes", "flow-in,none,soupy", "--out", out]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        url = re.search(r"http://\S+", server.stdout.readline())[0]
        browser = Browser(find_browser(), folder / "profile")
        browser.open(url, 800, "light")
        while browser.evaluate("!state || busy"):
            time.sleep(0.02)
        for key in KEYS:
            press(browser, key)
        if arguments.screenshot:
            time.sleep(0.5)
            browser.screenshot(arguments.screenshot)
        errors = [line for line in browser.logged() if not line.startswith("fetches " + url)]
        nameless = list(browser.nameless())
        browser.evaluate("document.getElementById('finish').click()")
        status = server.wait(timeout=10)
        browser.session = None
        browser.call("Browser.close")
        browser.process.wait()
        with out.open() as file:
            found = {row["image"]: row["class"] for row in csv.DictReader(file)}
    expected = {path.name: name for path, name in zip(images, EXPECTED) if name}
    if status or found != expected or errors or nameless:
        sys.exit(f"status {status}, labels {found}, expected {expected}, {errors}, {nameless}")
    print(f"{len(found)} labels are what was typed")


if __name__ == "__main__":
    main()
