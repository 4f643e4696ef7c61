"A headless Chromium, driven over its DevTools protocol: no driver program and no Node needed."

import base64, json, os, re, shutil, subprocess, tempfile, time

NAMES = 'chromium chromium-browser google-chrome google-chrome-stable chrome'.split()
FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync '
    '--disable-dev-shm-usage --disable-extensions --hide-scrollbars --remote-debugging-port=0 --window-size=1280,900'
).split()


def chromium():
    "Path of the browser (CHROMIUM names another one), or None."
    return os.environ.get('CHROMIUM') or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    "One tab: `goto`, `js`, `wait`; `errors` collects what the console and the page complain about."

    def __init__(self, path):
        from websocket import create_connection

        self.profile = tempfile.mkdtemp()
        self.errors, self.failed, self.ids = [], [], 0
        self.log = open(os.path.join(self.profile, 'stderr'), 'w+')
        self.process = subprocess.Popen(
            [path, *FLAGS, f'--user-data-dir={self.profile}', 'about:blank'],
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )
        base = self.endpoint()
        self.ws = create_connection(base, timeout=240, suppress_origin=True)
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)[
            'sessionId'
        ]
        for domain in 'Page', 'Runtime', 'Log', 'Network':
            self.call(f'{domain}.enable')

    session = None

    def endpoint(self, seconds=60):
        "Address that Chromium prints once it is up."
        end = time.time() + seconds
        while time.time() < end and self.process.poll() is None:
            with open(self.log.name) as f:
                m = re.search(r'DevTools listening on (\S+)', f.read())
            if m:
                return m[1]
            time.sleep(0.1)
        with open(self.log.name) as f:
            raise RuntimeError(f'Chromium did not start: {f.read()[-500:]}')

    def call(self, method, **params):
        self.ids += 1
        self.ws.send(
            json.dumps(
                dict(
                    id=self.ids,
                    method=method,
                    params=params,
                    **({'sessionId': self.session} if self.session else {}),
                )
            )
        )
        while True:
            msg = json.loads(self.ws.recv())
            if msg.get('id') == self.ids:
                if 'error' in msg:
                    raise RuntimeError(f'{method}: {msg["error"]["message"]}')
                return msg['result']
            self.event(msg.get('method'), msg.get('params', {}))

    def event(self, method, p):
        if method == 'Runtime.exceptionThrown':
            self.errors.append(
                p['exceptionDetails'].get('exception', {}).get('description')
                or p['exceptionDetails']['text']
            )
        if method == 'Runtime.consoleAPICalled' and p['type'] == 'error':
            self.errors.append(
                ' '.join(str(a.get('value', a.get('description'))) for a in p['args'])
            )
        if (
            method == 'Log.entryAdded'
            and p['entry']['level'] == 'error'
            and not p['entry'].get('url', '').endswith('/favicon.ico')
        ):
            self.errors.append(f'{p["entry"]["text"]} {p["entry"].get("url", "")}')

    def js(self, code):
        "Value of a JavaScript expression; promises are awaited."
        out = self.call('Runtime.evaluate', expression=code, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in out:
            raise RuntimeError(f'{code}: {out["exceptionDetails"]["text"]}')
        return out['result'].get('value')

    def wait(self, code, seconds=60):
        "Wait until an expression is truthy; its last value, a number, text or boolean."
        end, value = time.time() + seconds, None
        while time.time() < end and not (value := self.js(code)):
            time.sleep(0.1)
        return value

    def goto(self, url):
        self.call('Page.navigate', url=url)
        assert self.wait(
            f'document.readyState == "complete" && location.href.startsWith({json.dumps(url)})'
        ), f'{url} did not load'

    def screenshot(self, path, full=False):
        size = self.call('Page.getLayoutMetrics')['cssContentSize']
        clip = (
            dict(
                clip=dict(x=0, y=0, width=size['width'], height=min(size['height'], 8000), scale=1),
                captureBeyondViewport=True,
            )
            if full
            else {}
        )
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.call('Page.captureScreenshot', **clip)['data']))

    def close(self):
        self.ws.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)
