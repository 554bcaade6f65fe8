//! Where the demo is shown: a terminal with colours and moving lines, or anything else without.

use std::io::{IsTerminal as _, Write as _, stdout};

/// How a text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A headline.
    Strong,
    /// By the way.
    Faint,
    /// As it should be.
    Good,
    /// Not so.
    Bad,
}

/// The place to write to.
#[derive(Debug)]
pub(crate) struct Screen {
    moves: bool,
    colours: bool,
    /// Lines of the picture that is still changing.
    live: usize,
}

impl Screen {
    /// Standard output.
    pub(crate) fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let moves = stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { moves, colours: moves && !set("NO_COLOR"), live: 0 }
    }

    /// Whether pictures can change once they are shown.
    pub(crate) fn moves(&self) -> bool {
        self.moves
    }

    /// A text in a style, where there are colours.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.colours => return text.to_owned(),
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Lines that stay. They take the place of the picture that was changing.
    pub(crate) fn say(&mut self, text: &str) {
        let mut out = self.wipe();
        out += text;
        out.push('\n');
        write(&out);
    }

    /// A picture that will change, where that is possible.
    pub(crate) fn picture(&mut self, lines: &[String]) {
        if self.moves {
            // Without wrapping: a line that took two would not be wiped as a whole.
            let mut out = self.wipe() + "\x1b[?7l";
            for line in lines {
                out += line;
                out.push('\n');
            }
            out += "\x1b[?7h";
            self.live = lines.len();
            write(&out);
        }
    }

    fn wipe(&mut self) -> String {
        match std::mem::take(&mut self.live) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

/// A line of the list of what is up.
pub(crate) fn entry(what: &str, place: &str, more: &str) -> String {
    format!("  {what:<12} {place:<20} {more}")
}

fn write(text: &str) {
    let mut out = stdout().lock();
    // Whoever looked is gone: nothing is left to be told to anybody.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_is_nothing_but_text() {
        let mut plain = Screen { moves: false, colours: false, live: 0 };
        assert_eq!(plain.paint(Style::Bad, "x"), "x");
        plain.picture(&["a".to_owned()]);
        assert_eq!(plain.wipe(), "");
    }

    #[test]
    fn a_picture_is_wiped_by_its_own_height() {
        let mut screen = Screen { moves: true, colours: true, live: 3 };
        assert_eq!(screen.wipe(), "\x1b[3A\x1b[J");
        assert_eq!(screen.wipe(), "", "once");
        assert_eq!(screen.paint(Style::Good, "x"), "\x1b[32mx\x1b[0m");
    }
}
