#!/usr/bin/env python3
"""Opens report pages in headless Chromium, at phone to desktop width, light and dark, and fails
if one overflows sideways, logs an error, fetches something, skips a level of headings, cuts text
off in a figure, or holds a figure or table without a name for screen readers.

    .ci/check_pages.py [--screenshots DIR] runs/exp6/report.html ...

Needs Python's standard library and Chromium or Chrome ($CHROMIUM names it, otherwise it is
looked for)."""

import argparse, base64, itertools, json, os, pathlib, shutil, subprocess, sys, tempfile

WIDTHS = (420, 800, 1400)
SCHEMES = ("light", "dark")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Returns what is wrong with the page as it is laid out, in sentences.
INSPECT = """(() => {
  const wrong = [], root = document.documentElement;
  const overflow = root.scrollWidth - root.clientWidth;
  if (overflow > 0) {
    const inner = (e) => e.parentElement && e.parentElement.closest('.scroll');
    const wide = [...document.body.querySelectorAll('*')].filter((e) =>
      !inner(e) && e.getBoundingClientRect().right > root.clientWidth + 0.5);
    const names = wide.slice(0, 3).map((e) => e.tagName.toLowerCase() + ' "' +
      (e.textContent || '').trim().slice(0, 40) + '"');
    wrong.push(`overflows sideways by ${overflow} px: ${names.join(', ')}`);
  }
  let level = 0;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) wrong.push(`h${level} is followed by h${next} "${heading.textContent}"`);
    level = next;
  }
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not exactly one h1');
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice) wrong.push(`the id ${twice} is there twice`);
  for (const row of document.querySelectorAll('tbody tr'))
    if (!row.querySelector('th[scope=row]')) wrong.push(`no row header: ${row.textContent}`);
  for (const figure of document.querySelectorAll('svg')) {
    const frame = figure.getBoundingClientRect();
    const name = figure.getAttribute('aria-label');
    for (const text of figure.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (box.left < frame.left - 1 || box.right > frame.right + 1 ||
          box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        wrong.push(`"${text.textContent.trim()}" leaves the figure "${name}"`);
    }
  }
  return wrong;
})()"""


class Browser:
    """Chromium, spoken to in the DevTools protocol through a pair of pipes."""

    def __init__(self, program, profile):
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4.
        shell = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", shell, program, *options],
            pass_fds=(commands, answers), stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.numbers, self.buffer, self.events = itertools.count(1), b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.answers, 1 << 20)
            if not part:
                sys.exit("the browser ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url, width, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.receive())

    def evaluate(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def logged(self):
        """Errors that the page logged, and what it fetched."""
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                yield "error: " + params["exceptionDetails"]["text"]
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
                yield "console: " + json.dumps(params["args"])
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                yield "log: " + params["entry"]["text"]
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    yield f"fetches {url}"

    def nameless(self):
        """What screen readers find without a name."""
        for node in self.call("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value")
            named = node.get("name", {}).get("value", "").strip()
            if role in ("image", "img", "table", "figure", "link") and not node["ignored"]:
                if not named:
                    yield f"a {role} without a name"

    def screenshot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000),
                "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


def check(browser, page, width, scheme, screenshots):
    browser.open(page.resolve().as_uri(), width, scheme)
    if screenshots:
        browser.screenshot(screenshots / f"{page.parent.name}-{page.stem}-{width}-{scheme}.png")
    # What is folded has to fit as well.
    browser.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    found = browser.evaluate(INSPECT) + list(browser.logged()) + list(browser.nameless())
    for sentence in dict.fromkeys(found):
        print(f"{page}, {width} px, {scheme}: {sentence}")
    return not found


def find_browser():
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return program or sys.exit(f"no browser: none of {', '.join(NAMES)}; name one in CHROMIUM")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, help="a folder for pictures of each")
    arguments = parser.parse_args()
    program = find_browser()
    if missing := [str(page) for page in arguments.pages if not page.is_file()]:
        sys.exit(f"no such page: {', '.join(missing)}")
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        views = itertools.product(arguments.pages, WIDTHS, SCHEMES)
        good = [check(browser, *view, arguments.screenshots) for view in views]
        browser.session = None
        browser.call("Browser.close")
        browser.process.wait()
    print(f"{sum(good)} of {len(good)} views are in order")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
