//! A headless browser, told what to do in the Chrome DevTools Protocol.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

use serde_json::{Value, json};

/// The browsers that speak the protocol, by the names of their programs.
const PROGRAMS: [&str; 5] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome",
];

/// A page in a browser of its own. The browser ends with it.
pub(crate) struct Page {
    browser: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    commands: u64,
    /// What the browser reported meanwhile: requests, errors, lines of the console.
    pub(crate) events: Vec<Value>,
    profile: PathBuf,
}

impl Page {
    /// Opens a file in a window of 1200 by 640 pixels. `None` without a browser, unless
    /// `OSTLER_REQUIRE_TOOLS` is set: then it panics.
    pub(crate) fn open(file: &Path) -> Option<Self> {
        let is_there = |program: &&&str| Command::new(program).arg("--version").output().is_ok();
        let Some(program) = PROGRAMS.iter().find(is_there) else {
            assert!(
                env::var_os("OSTLER_REQUIRE_TOOLS").is_none(),
                "no browser is installed: install chromium-headless-shell or chromium"
            );
            eprintln!("skipped: no browser is installed; chromium-headless-shell would do");
            return None;
        };
        // Beside the page, so that browsers of other tests have their own.
        let profile = file.with_extension("profile");
        // The protocol's descriptors are 3 and 4. A shell moves them there.
        let mut browser = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#, "sh"])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
            ])
            .args(["--hide-scrollbars", "--window-size=1200,640"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let to = browser.stdin.take().expect("it is piped");
        let from = BufReader::new(browser.stdout.take().expect("it is piped"));
        let mut page = Self {
            browser,
            to,
            from,
            session: None,
            commands: 0,
            events: Vec::new(),
            profile,
        };
        let target = page.command("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = page.command("Target.attachToTarget", attach);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.command(&format!("{domain}.enable"), json!({}));
        }
        let url = format!("file://{}", file.display());
        page.command("Page.navigate", json!({ "url": url }));
        while !page
            .events
            .iter()
            .any(|e| e["method"] == "Page.loadEventFired")
        {
            page.receive();
        }
        Some(page)
    }

    /// Sends a command, and waits for its result.
    pub(crate) fn command(&mut self, method: &str, params: Value) -> Value {
        self.commands += 1;
        let mut message = json!({ "id": self.commands, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser is alive");
        loop {
            let message = self.receive();
            if message["id"] == self.commands {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The next message of the browser. An event is kept.
    fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from
            .read_until(0, &mut bytes)
            .expect("the pipe can be read");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let message: Value = serde_json::from_slice(&bytes).expect("a message");
        if message["id"].is_null() {
            self.events.push(message.clone());
        }
        message
    }

    /// The value of an expression of JavaScript, after the page's next frame.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let expression = format!(
            "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done({expression}))))"
        );
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.command("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// The text of an element as it is shown.
    pub(crate) fn text(&mut self, id: &str) -> String {
        let text = self.value(&format!("document.getElementById('{id}').innerText"));
        text.as_str().expect("a text").to_owned()
    }

    /// Presses and releases a key that types a character, or has a name.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.command(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key }),
            );
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Asked to, it ends its own processes first, which write to the profile.
        let _ = self
            .to
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let _ = io::copy(&mut self.from, &mut io::sink());
        let _ = self.browser.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
