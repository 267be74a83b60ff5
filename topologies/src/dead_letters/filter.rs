//! Which letters a command is about.

use penstock_runtime::Failure;
use penstock_schemas::{dead_letters_of, original_of};

use super::letter::{Letter, Place, dead_letter_topics};
use crate::cli::{AtArgs, LetterFilter};
use crate::pipeline::check_names;

/// Checked filters; a letter has to pass all that are set.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    args: LetterFilter,
    /// Exactly this one.
    place: Option<Place>,
    topics: Vec<String>,
}

impl Filter {
    pub fn new(args: &LetterFilter, place: Option<Place>) -> Result<Self, Failure> {
        if let Some(stage) = &args.stage {
            check_names(std::slice::from_ref(stage))
                .map_err(|failure| Failure::fatal(format!("--stage: {}", failure.reason())))?;
        }
        let mut args = args.clone();
        if let Some(topic) = &args.topic {
            // Of whose letters is said as well by the topic they are letters of.
            let named = match original_of(topic) {
                Some(_) => topic.clone(),
                None => dead_letters_of(topic),
            };
            args.topic = Some(known(&named, "--topic")?);
        }
        let topics = match (&place, &args.topic) {
            (Some(place), _) => vec![place.topic.clone()],
            (None, Some(topic)) => vec![topic.clone()],
            (None, None) => dead_letter_topics(),
        };
        Ok(Self {
            args,
            place,
            topics,
        })
    }

    /// True where nothing narrows it down.
    pub fn is_open(&self) -> bool {
        let args = &self.args;
        self.place.is_none()
            && args.stage.is_none()
            && args.reason.is_none()
            && args.class.is_none()
            && args.since.is_none()
            && args.until.is_none()
            && args.document.is_none()
            && args.topic.is_none()
    }

    /// The topics that may hold such letters.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub fn passes(&self, letter: &Letter) -> bool {
        let args = &self.args;
        self.place.as_ref().is_none_or(|it| *it == letter.place)
            && args.stage.as_ref().is_none_or(|it| *it == letter.stage)
            && args.class.as_ref().is_none_or(|it| *it == letter.class)
            && args
                .reason
                .as_ref()
                .is_none_or(|it| letter.reason.contains(it.as_str()))
            && args.since.is_none_or(|it| letter.died_at >= it)
            && args.until.is_none_or(|it| letter.died_at < it)
            && args
                .document
                .is_none_or(|it| letter.document_guid == Some(it))
            && args
                .topic
                .as_ref()
                .is_none_or(|it| *it == letter.place.topic)
    }
}

/// The place of a letter, as given on the command line.
pub fn place_of_letter(at: &AtArgs) -> Result<Place, Failure> {
    Ok(Place {
        topic: known(&at.topic, "TOPIC")?,
        partition: at.partition,
        offset: at.offset,
    })
}

fn known(topic: &str, from: &str) -> Result<String, Failure> {
    let all = dead_letter_topics();
    if all.iter().any(|it| it == topic) {
        return Ok(topic.to_owned());
    }
    let dead = dead_letters_of(topic);
    if all.contains(&dead) {
        return Err(Failure::fatal(format!(
            "{from}: {topic} is no dead-letter topic; its letters are in {dead}, at offsets of its own"
        )));
    }
    Err(Failure::fatal(format!(
        "{from}: there is no dead-letter topic {topic}, there are {}",
        all.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::letter::tests::record;
    use super::*;

    fn letter() -> Letter {
        Letter::of(&record(
            "rag.parts.v1.dlq",
            4,
            &[
                ("dlq.stage", "parse"),
                ("dlq.class", "poison"),
                ("dlq.reason", "the PDF is damaged"),
                ("dlq.time", "1000"),
            ],
        ))
    }

    #[test]
    fn each_filter_narrows() {
        let check = |set: &dyn Fn(&mut LetterFilter), expect: bool| {
            let mut args = LetterFilter::default();
            set(&mut args);
            let filter = Filter::new(&args, None).unwrap();
            assert_eq!(filter.passes(&letter()), expect, "{args:?}");
        };
        let text = |text: &str| Some(text.to_owned());
        check(&|_| (), true);
        check(&|it| it.stage = text("parse"), true);
        check(&|it| it.stage = text("embed"), false);
        check(&|it| it.class = text("poison"), true);
        check(&|it| it.class = text("pois"), false);
        check(&|it| it.reason = text("PDF is"), true);
        check(&|it| it.reason = text("docx"), false);
        check(&|it| it.since = Some(1000), true);
        check(&|it| it.since = Some(1001), false);
        check(&|it| it.until = Some(1001), true);
        check(&|it| it.until = Some(1000), false);
        check(&|it| it.document = Some(Uuid::from_u128(7)), true);
        check(&|it| it.document = Some(Uuid::from_u128(8)), false);
        check(&|it| it.topic = text("rag.parts.v1"), true);
        check(&|it| it.topic = text("rag.parts.v1.dlq"), true);
        check(&|it| it.topic = text("rag.chunks.v1.dlq"), false);
        let both = |it: &mut LetterFilter| {
            it.stage = text("parse");
            it.reason = text("docx");
        };
        check(&both, false);
    }

    #[test]
    fn a_place_is_exact() {
        let check = |offset: i64, expect: bool| {
            let place = Place {
                topic: "rag.parts.v1.dlq".to_owned(),
                partition: 1,
                offset,
            };
            let filter = Filter::new(&LetterFilter::default(), Some(place)).unwrap();
            assert_eq!(filter.passes(&letter()), expect);
            assert!(!filter.is_open());
        };
        check(4, true);
        check(5, false);
        let open = Filter::new(&LetterFilter::default(), None).unwrap();
        assert!(open.is_open());
        assert_eq!(open.topics().len(), 7);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let check = |set: &dyn Fn(&mut LetterFilter), word: &str| {
            let mut args = LetterFilter::default();
            set(&mut args);
            let failure = Filter::new(&args, None).unwrap_err();
            assert!(failure.reason().contains(word), "{failure}");
        };
        check(&|it| it.stage = Some("pars".to_owned()), "split, parse");
        check(
            &|it| it.topic = Some("rag.nothing.v1".to_owned()),
            "rag.parts.v1.dlq",
        );
        let at = AtArgs {
            topic: "rag.parts.v1".to_owned(),
            partition: 0,
            offset: 0,
        };
        let failure = place_of_letter(&at).unwrap_err();
        assert!(failure.reason().contains("rag.parts.v1.dlq"), "{failure}");
    }
}
