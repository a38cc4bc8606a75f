//! Requests, random ones and those of a line of text.

use std::fmt;

use crate::differential::gateway::client::Answer;
use crate::harness::Dice;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Lines with their ends.
    pub headers: String,
    pub body: String,
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

impl Asked {
    pub fn get(path: &str) -> Asked {
        Asked { method: "GET".into(), path: path.into(), headers: String::new(), body: String::new() }
    }

    pub fn form(method: &str, path: &str, body: &str) -> Asked {
        Asked { method: method.into(), path: path.into(), headers: FORM.into(), body: body.into() }
    }

    pub fn set(path: &str, value: &str) -> Asked {
        Asked::form("PUT", &format!("/v2/keys{path}"), &format!("value={value}"))
    }

    pub fn delete(path: &str) -> Asked {
        Asked { method: "DELETE".into(), ..Asked::get(&format!("/v2/keys{path}?recursive=true")) }
    }

    /// The request of a line: method and path, headers divided by `;;`, body. `form` is the header of a form.
    pub fn line(line: &str) -> Asked {
        let mut parts = line.splitn(3, '|');
        let mut part = || parts.next().unwrap_or_default().trim();
        let (method, path) = part().split_once(' ').unwrap_or_else(|| panic!("no request: {line}"));
        let headers = match part() {
            "form" => FORM.to_owned(),
            headers => {
                headers.split(";;").filter(|one| !one.is_empty()).map(|one| format!("{one}\r\n")).collect()
            }
        };
        Asked { method: method.into(), path: path.into(), headers, body: part().into() }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} {:?}", self.method, self.path, self.headers, self.body)
    }
}

const PATHS: &[&str] = &[
    "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/bc", "/d", "/d/_h", "/d/_h/x", "/_s", "/_s/y", "/q", "/q/1",
    "/e%20f/g", "/%C3%A4", "/a/b/", "/x/y/z/w",
];
const VALUES: &[&str] = &["", "1", "2", "a+b", "%3C%26%3E%22", "%E2%82%AC", "x%00y", "3"];
const FLAGS: &[&str] = &["true", "true", "true", "false", "1", "0", "t", "F", "yes", ""];

/// Makes requests that often succeed.
pub struct Generator {
    pub dice: Dice,
    /// The last index that was answered.
    index: u64,
}

impl Generator {
    pub fn new(dice: Dice) -> Generator {
        Generator { dice, index: 3 }
    }

    /// Takes an answer into account.
    pub fn learn(&mut self, answer: &Answer) {
        let index = answer.headers.get("x-etcd-index").and_then(|index| index.parse().ok());
        self.index = self.index.max(index.unwrap_or(0));
    }

    fn path(&mut self) -> String {
        if self.dice.one_in(25) { String::new() } else { self.dice.pick(PATHS).to_owned() }
    }

    fn near_index(&mut self) -> u64 {
        let back = if self.dice.one_in(10) { 2000 } else { 30 };
        (self.index + 2).saturating_sub(self.dice.below(back) as u64)
    }

    /// Any request on nodes.
    pub fn next(&mut self) -> Asked {
        match self.dice.weighted(&[50, 30, 5, 1]) {
            0 => self.write(),
            1 => self.read("GET"),
            2 => self.read("HEAD"),
            _ => Asked { method: "PATCH".into(), ..self.read("GET") },
        }
    }

    fn read(&mut self, method: &str) -> Asked {
        let mut query = Vec::new();
        for name in ["recursive", "sorted", "quorum"] {
            if self.dice.one_in(3) {
                query.push(format!("{name}={}", self.dice.pick(FLAGS)));
            }
        }
        let path = self.path();
        Asked { method: method.into(), ..Asked::get(&format!("/v2/keys{path}?{}", query.join("&"))) }
    }

    /// A write.
    pub fn write(&mut self) -> Asked {
        let method = ["PUT", "POST", "DELETE"][self.dice.weighted(&[70, 8, 22])];
        let mut pairs = Vec::new();
        let of_put = method != "DELETE";
        if of_put && !self.dice.one_in(6) {
            pairs.push(format!("value={}", self.dice.pick(VALUES)));
        }
        if of_put && self.dice.one_in(6) {
            let ttl = ["5000", "100000", "", "x", "-1", "1e3"];
            pairs.push(format!("ttl={}", ttl[self.dice.weighted(&[20, 20, 3, 1, 1, 1])]));
        }
        if self.dice.one_in(8) {
            pairs.push(format!("prevValue={}", self.dice.pick(VALUES)));
        }
        if self.dice.one_in(8) {
            pairs.push(format!("prevIndex={}", self.near_index()));
        }
        let often = |name: &str| match name {
            "prevExist" => 5,
            "dir" | "recursive" if method == "DELETE" => 3,
            "dir" => 8,
            _ => 20,
        };
        for name in ["prevExist", "dir", "recursive", "refresh", "noValueOnSuccess", "wait", "sorted"] {
            if self.dice.one_in(often(name)) {
                pairs.push(format!("{name}={}", self.dice.pick(FLAGS)));
            }
        }
        let path = format!("/v2/keys{}", self.path());
        let (mut query, mut body) = (Vec::new(), Vec::new());
        for pair in pairs {
            let in_query = method == "DELETE" || self.dice.one_in(4);
            if in_query { &mut query } else { &mut body }.push(pair);
        }
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        Asked::form(method, &path, &body.join("&"))
    }

    /// A wait, and the path that it is for.
    pub fn wait(&mut self, stream: bool) -> (String, Asked) {
        let path = self.dice.pick(PATHS).trim_end_matches('/').to_owned();
        let mut query = vec!["wait=true".to_owned()];
        if stream {
            query.push("stream=true".into());
        } else if self.dice.one_in(2) {
            query.push(format!("waitIndex={}", self.near_index()));
        }
        if self.dice.one_in(2) {
            query.push("recursive=true".into());
        }
        let asked = Asked::get(&format!("/v2/keys{path}?{}", query.join("&")));
        (path, asked)
    }
}
