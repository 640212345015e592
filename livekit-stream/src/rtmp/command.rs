//! Commands: a name, a transaction and arguments in AMF 0 (Adobe RTMP 1.0 section 7.2).

use super::amf0::{self, Value};
use super::message::{self, Message};

/// A command, or an answer to one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    /// `connect`, `publish`, `_result`, `onStatus` and so on.
    pub(crate) name: String,
    /// Ties `_result` and `_error` to a command; 0 for a command without an answer.
    pub(crate) transaction: f64,
    /// The command object (often null) and what follows it.
    pub(crate) arguments: Vec<Value>,
}

/// What an answer says in its information object (section 7.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    /// `status`, `warning` or `error`.
    pub(crate) level: String,
    /// Such as `NetStream.Publish.Start`.
    pub(crate) code: String,
    /// For people.
    pub(crate) description: String,
}

impl Command {
    /// A command of these arguments.
    pub(crate) fn new(name: &str, transaction: f64, arguments: impl Into<Vec<Value>>) -> Self {
        Self {
            name: name.to_owned(),
            transaction,
            arguments: arguments.into(),
        }
    }

    /// `onStatus` with an information object (section 7.2.2).
    pub(crate) fn on_status(status: &Status) -> Self {
        Self::new("onStatus", 0.0, [Value::Null, status.to_value()])
    }

    /// The command as a message of a stream at time 0.
    pub(crate) fn to_message(&self, stream_id: u32) -> Message {
        let mut payload = Vec::new();
        Value::string(self.name.as_str()).encode(&mut payload);
        Value::Number(self.transaction).encode(&mut payload);
        amf0::encode_all(&self.arguments, &mut payload);
        Message {
            type_id: message::COMMAND_AMF0,
            stream_id,
            timestamp: 0,
            payload: payload.into(),
        }
    }

    /// Reads a command message. `Ok(None)`: the message is none, or names nothing.
    pub(crate) fn from_message(message: &Message) -> Result<Option<Self>, amf0::Error> {
        let payload = match message.type_id {
            message::COMMAND_AMF0 => message.payload.as_ref(),
            message::COMMAND_AMF3 => message.payload.get(1..).unwrap_or_default(),
            _ => return Ok(None),
        };
        let mut values = amf0::decode_all(payload)?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Ok(None);
        };
        let transaction = values
            .next()
            .and_then(|value| value.as_number())
            .unwrap_or(0.0);
        Ok(Some(Self {
            name,
            transaction,
            arguments: values.collect(),
        }))
    }

    /// The information object: the first argument that has a code or a description.
    pub(crate) fn status(&self) -> Status {
        let text = |value: &Value, name| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        self.arguments
            .iter()
            .map(|value| Status {
                level: text(value, "level"),
                code: text(value, "code"),
                description: text(value, "description"),
            })
            .find(|status| !status.code.is_empty() || !status.description.is_empty())
            .unwrap_or_default()
    }

    /// The argument at `index` if it is a string; the command object is argument 0.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).and_then(Value::as_str)
    }
}

impl Status {
    /// A status of level `status`.
    pub(crate) fn ok(code: &str, description: &str) -> Self {
        Self {
            level: "status".to_owned(),
            code: code.to_owned(),
            description: description.to_owned(),
        }
    }

    /// A status of level `error`.
    pub(crate) fn error(code: &str, description: &str) -> Self {
        Self {
            level: "error".to_owned(),
            ..Self::ok(code, description)
        }
    }

    /// The information object.
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("level", Value::string(self.level.as_str())),
            ("code", Value::string(self.code.as_str())),
            ("description", Value::string(self.description.as_str())),
        ])
    }
}
