//! The stack machine of pickles, protocols 0 to 5.
//!
//! After Python's `Lib/pickletools.py`, which describes every operation. Nothing is executed, and
//! nothing recurses: however deep an object is nested, it is a list of nodes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::node::{Node, NodeId, Object, Pickle};

/// Each operation takes room for a node, a place on the stack and one in the memo: this many take
/// less than a gigabyte. A network has some ten thousand.
const MOST_OPERATIONS: usize = 1 << 23;

/// The newest protocol.
const PROTOCOL: u8 = 5;

/// The node of everything that is of no interest.
const OPAQUE: NodeId = 0;

/// Reads a pickle to its end; the error says at which byte what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle, String> {
    let mut machine = Machine {
        rest: bytes,
        nodes: vec![Node::Opaque],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    for _ in 0..MOST_OPERATIONS {
        let at = bytes.len() - machine.rest.len();
        let opcode = machine.byte().ok_or("cut off: it has no end")?;
        if opcode == b'.' {
            let root = machine.pop().ok_or("it ends with nothing on its stack")?;
            return Ok(Pickle {
                nodes: machine.nodes,
                root,
            });
        }
        machine
            .step(opcode)
            .ok_or_else(|| format!("broken at byte {at}: operation 0x{opcode:02x}"))?;
    }
    Err(format!("more than {MOST_OPERATIONS} operations"))
}

struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    /// Heights of the stack at which groups of arguments begin.
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
}

/// `None` from any of these: the pickle is broken.
impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            // Numbers, and what is of no interest.
            b'N' => self.push(Node::Opaque),
            0x88 | 0x89 => self.push(Node::Integer(i64::from(opcode == 0x88))),
            b'F' => {
                let value = self.line()?.parse();
                self.push(value.map_or(Node::Opaque, Node::Real))
            }
            b'G' => {
                let bytes = self.take(8)?.try_into().ok()?;
                self.push(Node::Real(f64::from_be_bytes(bytes)))
            }
            b'I' | b'L' => {
                let digits = self.line()?.trim_end_matches('L').parse();
                self.push(digits.map_or(Node::Opaque, Node::Integer))
            }
            b'J' => {
                let value = self.number(4)?;
                self.push(Node::Integer(i64::from(value as u32 as i32)))
            }
            b'K' => self.unsigned(1),
            b'M' => self.unsigned(2),
            0x8a => self.long(1),
            0x8b => self.long(4),
            // Texts, and bytes.
            b'S' | b'V' => {
                let line = self.line()?.trim_matches(['\'', '"']).to_owned();
                self.push(Node::Text(line))
            }
            b'U' | 0x8c => self.text(1),
            b'T' | b'X' => self.text(4),
            0x8d => self.text(8),
            b'C' => self.bytes(1),
            b'B' => self.bytes(4),
            0x8e | 0x96 => self.bytes(8),
            0x97 => self.push(Node::Opaque),
            0x98 => Some(()),
            // Containers.
            b']' | b')' => self.push(Node::Sequence(Vec::new())),
            b'}' => self.push(Node::Dictionary(Vec::new())),
            0x8f => self.push(Node::Opaque),
            b'l' | b't' => {
                let elements = self.pop_group()?;
                self.push(Node::Sequence(elements))
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(count)?;
                let elements = self.stack.split_off(start);
                self.push(Node::Sequence(elements))
            }
            b'd' => {
                let items = pairs(&self.pop_group()?)?;
                self.push(Node::Dictionary(items))
            }
            0x91 => {
                self.pop_group()?;
                self.push(Node::Opaque)
            }
            b'a' => {
                let element = self.pop()?;
                self.append(&[element])
            }
            b'e' => {
                let elements = self.pop_group()?;
                self.append(&elements)
            }
            0x90 => self.pop_group().map(drop),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(vec![(key, value)])
            }
            b'u' => {
                let items = pairs(&self.pop_group()?)?;
                self.insert(items)
            }
            _ => self.step_object(opcode),
        }
    }

    fn step_object(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'c' => {
                let module = self.line()?.into_owned();
                let name = self.line()?.into_owned();
                self.push(Node::Global(module, name))
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Node::Global(module, name))
            }
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.object(class, arguments)
            }
            0x92 => {
                let _keywords = self.pop()?;
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.object(class, arguments)
            }
            b'i' => {
                let module = self.line()?.into_owned();
                let name = self.line()?.into_owned();
                let arguments = self.pop_group()?;
                let class = self.add(Node::Global(module, name))?;
                let arguments = self.add(Node::Sequence(arguments))?;
                self.object(class, arguments)
            }
            b'o' => {
                let mut arguments = self.pop_group()?;
                let class = (!arguments.is_empty()).then(|| arguments.remove(0))?;
                let arguments = self.add(Node::Sequence(arguments))?;
                self.object(class, arguments)
            }
            b'b' => {
                let state = self.pop()?;
                let object = *self.stack.last()?;
                if let Node::Object(object) = self.nodes.get_mut(object as usize)? {
                    object.state = Some(state);
                }
                Some(())
            }
            b'P' => {
                let line = self.line()?.into_owned();
                let id = self.add(Node::Text(line))?;
                self.push(Node::Persistent(id))
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            _ => self.step_stack(opcode),
        }
    }

    fn step_stack(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_group()?),
            b'2' => self.stack.push(*self.stack.last()?),
            b'g' => {
                let key = self.line()?.parse().ok()?;
                self.stack.push(*self.memo.get(&key)?);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'p' => {
                let key = self.line()?.parse().ok()?;
                self.memo.insert(key, *self.stack.last()?);
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let key = u32::try_from(self.memo.len()).ok()?;
                self.memo.insert(key, *self.stack.last()?);
            }
            0x95 => drop(self.take(8)?),
            0x80 if self.byte()? <= PROTOCOL => {}
            // Among others 0x82 to 0x84: classes by a number that each process gives them.
            _ => return None,
        }
        Some(())
    }

    fn recall(&mut self, width: usize) -> Option<()> {
        let key = u32::try_from(self.number(width)?).ok()?;
        self.stack.push(*self.memo.get(&key)?);
        Some(())
    }

    fn remember(&mut self, width: usize) -> Option<()> {
        let key = u32::try_from(self.number(width)?).ok()?;
        self.memo.insert(key, *self.stack.last()?);
        Some(())
    }

    fn object(&mut self, class: NodeId, arguments: NodeId) -> Option<()> {
        let is_dictionary = match self.nodes.get(class as usize)? {
            Node::Global(module, name) => {
                let known = ["OrderedDict", "defaultdict"].contains(&name.as_str());
                module == "collections" && known
            }
            _ => false,
        };
        self.push(if is_dictionary {
            Node::Dictionary(Vec::new())
        } else {
            Node::Object(Box::new(Object {
                class,
                arguments,
                ..Object::default()
            }))
        })
    }

    /// Puts elements into the list on top of the stack, or the object that extends one.
    fn append(&mut self, elements: &[NodeId]) -> Option<()> {
        match self.nodes.get_mut(*self.stack.last()? as usize)? {
            Node::Sequence(list) => list.extend(elements),
            Node::Object(object) => object.elements.extend(elements),
            _ => return None,
        }
        Some(())
    }

    /// Puts items into the dictionary on top of the stack, or the object that extends one.
    fn insert(&mut self, items: Vec<(NodeId, NodeId)>) -> Option<()> {
        match self.nodes.get_mut(*self.stack.last()? as usize)? {
            Node::Dictionary(dictionary) => dictionary.extend(items),
            Node::Object(object) => object.items.extend(items),
            _ => return None,
        }
        Some(())
    }

    fn add(&mut self, node: Node) -> Option<NodeId> {
        if matches!(node, Node::Opaque) {
            return Some(OPAQUE);
        }
        let id = NodeId::try_from(self.nodes.len()).ok()?;
        self.nodes.push(node);
        Some(id)
    }

    fn push(&mut self, node: Node) -> Option<()> {
        let id = self.add(node)?;
        self.stack.push(id);
        Some(())
    }

    /// Not below the last mark.
    fn pop(&mut self) -> Option<NodeId> {
        if self
            .marks
            .last()
            .is_some_and(|&mark| self.stack.len() <= mark)
        {
            return None;
        }
        self.stack.pop()
    }

    fn pop_text(&mut self) -> Option<String> {
        let id = self.pop()?;
        match self.nodes.get(id as usize)? {
            Node::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Everything above the last mark.
    fn pop_group(&mut self) -> Option<Vec<NodeId>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// An unsigned number of 1, 2, 4 or 8 bytes.
    fn number(&mut self, width: usize) -> Option<u64> {
        let digits = self.take(width)?.iter().rev();
        Some(digits.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn unsigned(&mut self, width: usize) -> Option<()> {
        let value = self.number(width)?;
        self.push(Node::Integer(value as i64))
    }

    /// Bytes behind their count.
    fn counted(&mut self, width: usize) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number(width)?).ok()?;
        self.take(count)
    }

    /// An integer of any length, in two's complement.
    fn long(&mut self, width: usize) -> Option<()> {
        let digits = self.counted(width)?;
        let negative = digits.last().is_some_and(|byte| *byte >= 0x80);
        let mut padded = [if negative { 0xff } else { 0 }; 8];
        let Some(place) = padded.get_mut(..digits.len()) else {
            return self.push(Node::Opaque);
        };
        place.copy_from_slice(digits);
        self.push(Node::Integer(i64::from_le_bytes(padded)))
    }

    /// Python 2 writes its names as bytes, too.
    fn text(&mut self, width: usize) -> Option<()> {
        let text = String::from_utf8_lossy(self.counted(width)?).into_owned();
        self.push(Node::Text(text))
    }

    fn bytes(&mut self, width: usize) -> Option<()> {
        self.counted(width)?;
        self.push(Node::Opaque)
    }

    fn line(&mut self) -> Option<Cow<'a, str>> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let line = self.take(end)?;
        self.take(1)?;
        Some(String::from_utf8_lossy(line))
    }
}

fn pairs(group: &[NodeId]) -> Option<Vec<(NodeId, NodeId)>> {
    let (pairs, rest) = group.as_chunks();
    let items = pairs.iter().map(|&[key, value]| (key, value));
    rest.is_empty().then(|| items.collect())
}
