//! E-mails.

use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};
use penstock_runtime::Failure;

use super::draft::{Draft, Extracted};
use super::html::{self, Dialect};
use super::limits::Budget;
use super::package::damaged;

/// Mails forwarded inside mails are read this deep.
const DEEPEST_MAIL: usize = 5;

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let Some(message) = MessageParser::default().parse(bytes) else {
        return Err(damaged("e-mail", "no header can be read"));
    };
    let mut draft = Draft::new(budget);
    draft.set_title(message.subject().unwrap_or(""));
    let from = message.from().and_then(Address::first);
    if let Some(author) = from.and_then(|from| from.name().or_else(|| from.address())) {
        draft.set_author(author);
    }
    let sent = message.date().filter(|date| date.is_valid());
    draft.set_created_at(sent.map(|date| date.to_timestamp().saturating_mul(1000)));
    draft = write(&message, draft, 1)?;
    Ok(draft.finish())
}

fn write<'b>(
    message: &Message<'_>,
    mut draft: Draft<'b>,
    depth: usize,
) -> Result<Draft<'b>, Failure> {
    draft.budget.check()?;
    let mut header = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => draft.line(&format!("{name}: {value}")),
    };
    header("Subject", message.subject().unwrap_or(""))?;
    header("From", &message.from().map(people).unwrap_or_default())?;
    header("To", &message.to().map(people).unwrap_or_default())?;
    header("Cc", &message.cc().map(people).unwrap_or_default())?;
    let sent = message.date().map(mail_parser::DateTime::to_rfc3339);
    header("Date", &sent.unwrap_or_default())?;
    draft.new_block()?;
    for part in message.text_bodies() {
        draft = match &part.body {
            PartType::Html(page) => html::write(page, Dialect::Html, draft)?,
            PartType::Text(text) => {
                draft.block(&text.replace("\r\n", "\n"))?;
                draft
            }
            _ => draft,
        };
    }
    for part in message.attachments() {
        let name = part.attachment_name().unwrap_or("without a name");
        match &part.body {
            PartType::Text(text) => {
                draft.heading(2, &format!("Attachment: {name}"))?;
                draft.block(&text.replace("\r\n", "\n"))?;
            }
            PartType::Html(page) => {
                draft.heading(2, &format!("Attachment: {name}"))?;
                draft = html::write(page, Dialect::Html, draft)?;
            }
            PartType::Message(inner) if depth < DEEPEST_MAIL => {
                draft.heading(2, "Attached message")?;
                draft = write(inner, draft, depth + 1)?;
            }
            // Other attachments are documents of their own, to be ingested as such; here they are named.
            PartType::Binary(_) | PartType::InlineBinary(_) => {
                draft.block(&format!("Attachment: {name}"))?;
            }
            _ => {}
        }
    }
    Ok(draft)
}

/// `Name <address>` of all, separated by commas.
fn people(address: &Address<'_>) -> String {
    let people: Vec<String> = address
        .iter()
        .filter_map(|person| match (person.name(), person.address()) {
            (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => None,
        })
        .collect();
    people.join(", ")
}
