//! Imports point down, and in no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports;

/// The rooms of each floor in the table of `docs/architecture.md`, from the top.
fn floors() -> Vec<Vec<&'static str>> {
    let page = include_str!("../../docs/architecture.md");
    let (_, table) = page.split_once("| room | subject |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let rooms = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2);
        rooms.map(|room| room.trim_end_matches('/').trim_end_matches(".rs")).collect()
    })
    .collect()
}

#[test]
fn every_room_is_on_the_map_and_imports_only_rooms_below_it() {
    let floors = floors();
    let mut height = BTreeMap::new();
    for (floor, rooms) in floors.iter().enumerate() {
        for room in rooms {
            assert_eq!(height.insert(*room, floor), None, "{room} is on the map twice");
        }
    }
    let mut wrong = BTreeSet::new();
    for (module, others) in imports::read() {
        // The library's root names every room.
        let Some(room) = module.first() else { continue };
        let Some(floor) = height.get(room.as_str()) else {
            wrong.insert(format!("{room} is not on the map"));
            continue;
        };
        for other in others.iter().filter_map(|other| other.first()).filter(|other| *other != room)
        {
            // Facts, refusals and bodies are made of one another; no layer of another layer.
            let level = height.get(other.as_str()).unwrap_or(&usize::MAX);
            if level < floor || (level == floor && floors[*floor].contains(&"tenant")) {
                wrong.insert(format!("{} imports {other}", module.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut left = imports::read();
    // A parent's own things are there before its children: only what goes on beyond the family counts.
    for (module, others) in &mut left {
        others.retain(|other| !module.starts_with(other));
    }
    let reach = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = open.pop() {
            for other in left.get(&module).into_iter().flatten() {
                if seen.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = left.keys().map(|module| (module, reach(module))).collect();
    let mut circles = Vec::new();
    for (module, others) in &left {
        for other in others.iter().filter(|other| reached[other].contains(module)) {
            circles.push(format!("{} -> {}", module.join("::"), other.join("::")));
        }
    }
    assert!(circles.is_empty(), "these import each other: {circles:#?}");
}
