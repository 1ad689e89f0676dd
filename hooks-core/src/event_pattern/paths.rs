//! The fields that patterns name, as a tree of names.

use std::collections::HashMap;

use super::EventPattern;

/// A field that a pattern names: its number in [`Paths`].
pub type PathId = u32;

/// `data` itself.
pub(super) const ROOT: PathId = 0;

/// Up to this many names, comparing each is faster than hashing.
const FEW: usize = 8;

/// The fields that some patterns name. Events are searched for nothing else.
#[derive(Debug, Clone)]
pub struct Paths {
    nodes: Vec<Path>,
    free: Vec<PathId>,
}

#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) parent: PathId,
    pub(super) name: Box<str>,
    /// Number of patterns that name it or a field below it.
    uses: u32,
    /// Number of patterns that compare its value.
    compared: u32,
    children: Children,
}

#[derive(Debug, Clone)]
enum Children {
    Few(Vec<PathId>),
    Many(HashMap<Box<str>, PathId>),
}

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Path::new(ROOT, "")], free: Vec::new() }
    }
}

impl Path {
    fn new(parent: PathId, name: &str) -> Self {
        Self { parent, name: name.into(), uses: 0, compared: 0, children: Children::Few(Vec::new()) }
    }
}

impl Paths {
    /// Adds the fields of a pattern. Returns the number of each of its paths here.
    pub fn add(&mut self, pattern: &EventPattern) -> Box<[PathId]> {
        let mut ids = vec![ROOT];
        for path in &pattern.paths().nodes[1..] {
            let id = self.at(ids[path.parent as usize], &path.name);
            let own = &mut self.nodes[id as usize];
            own.uses += 1;
            own.compared += u32::from(path.compared > 0);
            ids.push(id);
        }
        ids.into()
    }

    /// Removes the fields of a pattern, whose numbers here are these.
    pub fn remove(&mut self, pattern: &EventPattern, ids: &[PathId]) {
        // Those below others stand behind them.
        for (path, id) in pattern.paths().nodes.iter().zip(ids).skip(1).rev() {
            let own = &mut self.nodes[*id as usize];
            own.uses -= 1;
            own.compared -= u32::from(path.compared > 0);
            if own.uses == 0 {
                let name = std::mem::take(&mut own.name);
                let parent = own.parent;
                self.nodes[parent as usize].children.remove(&name, *id);
                self.free.push(*id);
            }
        }
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes[ROOT as usize].children.is_empty()
    }

    /// The field of this name below another. Makes it, if need be.
    pub(super) fn at(&mut self, parent: PathId, name: &str) -> PathId {
        if let Some(known) = self.find(parent, name) {
            return known;
        }
        let node = Path::new(parent, name);
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as PathId
            }
        };
        self.add_child(parent, name, id);
        id
    }

    fn add_child(&mut self, parent: PathId, name: &str, id: PathId) {
        let few = match &mut self.nodes[parent as usize].children {
            Children::Many(children) => {
                children.insert(name.into(), id);
                return;
            }
            Children::Few(children) => {
                if children.is_empty() {
                    children.reserve_exact(1);
                }
                children.push(id);
                children
            }
        };
        if few.len() > FEW {
            let ids = std::mem::take(few);
            let many = ids.into_iter().map(|id| (self.nodes[id as usize].name.clone(), id)).collect();
            self.nodes[parent as usize].children = Children::Many(many);
        }
    }

    /// The field of this name below another.
    pub(super) fn find(&self, parent: PathId, name: &str) -> Option<PathId> {
        match &self.nodes[parent as usize].children {
            Children::Few(children) => children.iter().copied().find(|id| *self.nodes[*id as usize].name == *name),
            Children::Many(children) => children.get(name).copied(),
        }
    }

    /// Returns true if fields below this one are named.
    pub(super) fn has_children(&self, path: PathId) -> bool {
        !self.nodes[path as usize].children.is_empty()
    }

    /// Returns true if the value of this field is compared.
    pub(super) fn is_compared(&self, path: PathId) -> bool {
        self.nodes[path as usize].compared > 0
    }

    pub(super) fn set_compared(&mut self, path: PathId) {
        self.nodes[path as usize].compared = 1;
    }

    /// The names that lead to a field.
    pub(super) fn names(&self, path: PathId) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = path;
        while at != ROOT {
            let node = &self.nodes[at as usize];
            names.push(&*node.name);
            at = node.parent;
        }
        names.reverse();
        names
    }

    /// The length of the longest name, in bytes.
    pub(super) fn longest_name(&self) -> Option<usize> {
        self.nodes.iter().map(|node| node.name.len()).max()
    }

    pub(super) fn parent(&self, path: PathId) -> PathId {
        self.nodes[path as usize].parent
    }
}

impl Children {
    fn is_empty(&self) -> bool {
        match self {
            Self::Few(children) => children.is_empty(),
            Self::Many(children) => children.is_empty(),
        }
    }

    fn remove(&mut self, name: &str, id: PathId) {
        match self {
            Self::Few(children) => children.retain(|known| *known != id),
            Self::Many(children) => {
                children.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_go_with_the_last_pattern_that_names_them() {
        let pattern = |json| EventPattern::new(&json).unwrap();
        let mut paths = Paths::default();
        let many: Vec<_> = (0..20).map(|number| pattern(json!({ "a": { format!("b{number}"): [1] } }))).collect();
        let ids: Vec<_> = many.iter().map(|pattern| paths.add(pattern)).collect();
        let a = paths.find(ROOT, "a").unwrap();
        assert!(many.iter().zip(&ids).all(|(_, ids)| ids[1] == a));
        assert!(paths.find(a, "b19").is_some() && !paths.is_compared(a));
        let leaf = pattern(json!({ "a": [1] }));
        let own = paths.add(&leaf);
        assert!(own[1] == a && paths.is_compared(a));
        paths.remove(&leaf, &own);
        assert!(!paths.is_compared(a));
        let before = paths.nodes.len();
        for (pattern, ids) in many.iter().zip(&ids) {
            paths.remove(pattern, ids);
        }
        assert!(paths.is_empty());
        let ids = paths.add(&many[0]);
        assert_eq!(paths.names(ids[2]), ["a", "b0"]);
        assert_eq!(paths.nodes.len(), before);
    }
}
