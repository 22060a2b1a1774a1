use std::fs;
use std::process::Command;

/// The children of a process: PostgreSQL's are one for each connection and background task.
pub(super) fn helpers_of(parent: u32) -> Vec<u32> {
    process_table().into_iter().filter(|entry| entry.parent == parent && !entry.is_zombie).map(|entry| entry.id).collect()
}

pub(super) fn is_running(id: u32) -> bool {
    process_table().iter().any(|entry| entry.id == id && !entry.is_zombie)
}

struct Entry {
    id: u32,
    parent: u32,
    is_zombie: bool,
}

fn process_table() -> Vec<Entry> {
    match fs::read_dir("/proc") {
        Ok(processes) => processes
            .flatten()
            .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
            .filter_map(|stat| parse_stat(&stat))
            .collect(),
        Err(_) => Command::new("ps")
            .args(["-A", "-o", "pid=,ppid=,state="])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_ps).collect())
            .unwrap_or_default(),
    }
}

/// Reads a line of `/proc/*/stat`: "42 (a (name) with) S 1 …".
fn parse_stat(line: &str) -> Option<Entry> {
    let id = line.split_once(" (")?.0.parse().ok()?;
    let mut rest = line.rsplit_once(") ")?.1.split(' ');
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    Some(Entry { id, parent, is_zombie: state == "Z" })
}

fn parse_ps(line: &str) -> Option<Entry> {
    let mut columns = line.split_whitespace();
    Some(Entry { id: columns.next()?.parse().ok()?, parent: columns.next()?.parse().ok()?, is_zombie: columns.next()?.starts_with('Z') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process_whose_name_holds_parentheses() {
        let entry = parse_stat("42 (a (b) c) Z 7 42 42 0").unwrap();
        assert_eq!((entry.id, entry.parent, entry.is_zombie), (42, 7, true));
    }

    #[test]
    fn reads_a_line_of_ps() {
        let entry = parse_ps("   42     7 Ss+").unwrap();
        assert_eq!((entry.id, entry.parent, entry.is_zombie), (42, 7, false));
    }

    #[test]
    fn finds_the_children_of_a_process() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(helpers_of(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_running(child.id()));
    }
}
