//! A server in its own process, stopped when the test ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A running program. A thread reads its standard error line by line.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<Vec<String>>>,
}

/// How long a server may take to report that it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

impl Process {
    /// Starts the program.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Starts the program with this standard input.
    #[track_caller]
    pub(crate) fn start_with(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        let mut child =
            command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap_or_else(
                |error| panic!("{:?} cannot be run ({error}): is it installed?", command.get_program()),
            );
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line.clone());
                let _ = sender.send(line);
            }
        });
        Self { child, lines, log }
    }

    /// Waits for a line for which `find` returns a value.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, mut find: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            match self.lines.recv_timeout(START_TIMEOUT) {
                Ok(line) => {
                    if let Some(found) = find(&line) {
                        return found;
                    }
                }
                Err(error) => panic!("the line did not come ({error}); the log has:\n{}", self.log()),
            }
        }
    }

    /// Waits until the log has `text`: an answer may arrive before its log lines.
    #[track_caller]
    pub(crate) fn wait_to_say(&self, text: &str) {
        while !self.log().contains(text) {
            if let Err(error) = self.lines.recv_timeout(START_TIMEOUT) {
                // At the end of the process, the last line may have arrived between the two checks.
                assert!(
                    self.log().contains(text),
                    "{text:?} did not come ({error}); the log has:\n{}",
                    self.log()
                );
            }
        }
    }

    /// Everything that the process has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal, by name.
    pub(crate) fn signal(&self, signal: &str) {
        super::run(super::tool("kill").args([&format!("-{signal}"), &self.pid().to_string()]));
    }

    /// Kills the process at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks the process to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            for _ in 0..100 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
            self.kill();
        }
    }
}
