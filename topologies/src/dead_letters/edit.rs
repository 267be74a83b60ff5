//! Mends a decoded record with an expression in the language of jq.

use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::native::{self, Fun};
use jaq_core::{Compiler, Ctx, Error, Filter, RunPtr, ValR, Vars};
use jaq_json::Val;
use penstock_runtime::Failure;
use regex::{NoExpand, Regex};
use serde_json::Value;

type Data = JustLut<Val>;

/// A compiled expression.
pub struct Edit {
    text: String,
    filter: Filter<Data>,
}

impl Edit {
    pub fn compile(text: &str) -> Result<Self, Failure> {
        let defs = jaq_core::defs().chain(standard()).chain(jaq_json::defs());
        let funs = jaq_core::funs()
            .chain(jaq_std::base_funs())
            .chain(regular_expressions())
            .chain(jaq_json::funs());
        let wrong = |what: String| {
            Failure::fatal(format!(
                "--edit {text:?}: {what}; it is an expression as jq knows them, such as '.title = \"Rules\"'"
            ))
        };
        let arena = Arena::default();
        let file = File {
            code: text,
            path: (),
        };
        let modules = Loader::new(defs).load(&arena, file).map_err(|errors| {
            let first = errors.into_iter().next();
            wrong(first.map_or_else(String::new, |(_, error)| syntax(error)))
        })?;
        let filter = Compiler::default()
            .with_funs(funs)
            .compile(modules)
            .map_err(|errors| {
                let unknown = errors.into_iter().flat_map(|(_, errors)| errors).next();
                wrong(unknown.map_or_else(String::new, |(name, kind)| {
                    format!("undefined {} {name}", kind.as_str())
                }))
            })?;
        Ok(Self {
            text: text.to_owned(),
            filter,
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The edited record: the one value the expression yields.
    pub fn apply(&self, record: &Value) -> Result<Value, String> {
        let input = jaq_json::read::parse_single(record.to_string().as_bytes())
            .map_err(|error| format!("the record cannot be edited: {error}"))?;
        let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([]));
        let mut outputs = self.filter.id.run((context, input)).map(|output| {
            output.map_err(|thrown| match thrown.get_err() {
                Ok(error) => format!("the edit fails: {}", cut(&error.to_string())),
                Err(_) => "the edit halts".to_owned(),
            })
        });
        let Some(edited) = outputs.next() else {
            return Err(
                "the edit yields nothing: to leave records out, use the filters".to_owned(),
            );
        };
        let edited = edited?;
        if outputs.next().is_some() {
            return Err("the edit yields more than one record".to_owned());
        }
        serde_json::from_str(&edited.to_string())
            .map_err(|error| format!("the edit yields no JSON: {error}"))
    }
}

/// What the standard library defines, but for what needs more crates than an edit is worth: dates, trigonometry,
/// encodings, logs. Regular expressions are ours.
fn standard() -> impl Iterator<Item = load::parse::Def<&'static str>> {
    const WITHOUT: [&str; 27] = [
        "stderr",
        "debug",
        "halt_error",
        "logb",
        "significand",
        "pow10",
        "drem",
        "nexttoward",
        "scalb",
        "gamma",
        "capture_of_match",
        "test",
        "scan_",
        "match",
        "capture",
        "splits",
        "sub",
        "gsub",
        "scan",
        "todate",
        "fromdate",
        "@html",
        "@htmld",
        "@uri",
        "@urid",
        "@base64",
        "@base64d",
    ];
    jaq_std::defs().filter(|def| {
        let by_expression = def.name == "split" && def.args.len() == 2;
        !by_expression && !WITHOUT.contains(&def.name)
    })
}

/// `test(re)`, `sub(re; text)` and `gsub(re; text)`; the text is taken as it is.
fn regular_expressions() -> [Fun<Data>; 3] {
    let functions: [native::Filter<RunPtr<Data>>; 3] = [
        ("test", native::v(1), |mut cv| {
            let expression = cv.0.pop_var();
            native::bome(on_text(&expression, &cv.1, |expression, text| {
                Val::Bool(expression.is_match(text))
            }))
        }),
        ("sub", native::v(2), |mut cv| {
            let to = cv.0.pop_var();
            let expression = cv.0.pop_var();
            native::bome(replaced(&expression, &cv.1, &to, 1))
        }),
        ("gsub", native::v(2), |mut cv| {
            let to = cv.0.pop_var();
            let expression = cv.0.pop_var();
            native::bome(replaced(&expression, &cv.1, &to, 0))
        }),
    ];
    functions.map(|function| native::run::<Data>(function))
}

/// `most`: occurrences to replace, 0 for all.
fn replaced(expression: &Val, text: &Val, to: &Val, most: usize) -> ValR<Val> {
    let to = text_of(to)?;
    on_text(expression, text, |expression, text| {
        let replaced = expression.replacen(text, most, NoExpand(to));
        Val::from(replaced.into_owned())
    })
}

fn on_text(expression: &Val, text: &Val, work: impl Fn(&Regex, &str) -> Val) -> ValR<Val> {
    let expression = Regex::new(text_of(expression)?)
        .map_err(|error| Error::new(Val::from(error.to_string())))?;
    Ok(work(&expression, text_of(text)?))
}

fn text_of(value: &Val) -> Result<&str, Error<Val>> {
    let text = match value {
        Val::TStr(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    text.ok_or_else(|| Error::typ(value.clone(), "text"))
}

fn syntax(error: load::Error<&str>) -> String {
    let near = |rest: &str| match rest {
        "" => "at its end".to_owned(),
        rest => format!("at {:?}", cut(rest)),
    };
    let (expected, found) = match error {
        load::Error::Lex(errors) => match errors.into_iter().next() {
            Some((expected, rest)) => (expected.as_str(), rest),
            None => return String::new(),
        },
        load::Error::Parse(errors) => match errors.into_iter().next() {
            Some((expected, rest)) => (expected.as_str(), rest),
            None => return String::new(),
        },
        load::Error::Io(_) => return "it may not import anything".to_owned(),
    };
    format!("expected {expected} {}", near(found))
}

/// Errors quote the whole value; one line has to do.
fn cut(text: &str) -> String {
    const MOST: usize = 200;
    let line = text.replace('\n', " ");
    match line.char_indices().nth(MOST) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn edits() {
        let check = |text: &str, expect: Result<Value, &str>| {
            let edit = Edit::compile(text).unwrap();
            let record = json!({"text": "a red crane", "tokens": 3, "share": 0.1, "title": null,
                "stamped": 9_007_199_254_740_993_i64, "about": {"attributes": {"size": "large"}}});
            match (edit.apply(&record), expect) {
                (Ok(edited), Ok(fields)) => {
                    let mut whole = record.clone();
                    for (name, value) in fields.as_object().unwrap() {
                        whole[name] = value.clone();
                    }
                    assert_eq!(edited, whole, "{text}");
                }
                (Err(error), Err(word)) => assert!(error.contains(word), "{text}: {error}"),
                (result, _) => panic!("{text}: {result:?}"),
            }
        };
        check(".", Ok(json!({})));
        check(".title = \"Cranes\"", Ok(json!({"title": "Cranes"})));
        check(".tokens += 1", Ok(json!({"tokens": 4})));
        check(
            ".text |= gsub(\"red\"; \"blue\")",
            Ok(json!({"text": "a blue crane"})),
        );
        check(
            "if .tokens > 2 then .text |= ascii_upcase else . end",
            Ok(json!({"text": "A RED CRANE"})),
        );
        check(
            "del(.about.attributes.size)",
            Ok(json!({"about": {"attributes": {}}})),
        );
        check(
            ".text |= sub(\"[ae]\"; \"$0\")",
            Ok(json!({"text": "$0 red crane"})),
        );
        check(
            "if .text | test(\"^a r\") then .tokens = 0 else . end",
            Ok(json!({"tokens": 0})),
        );
        check(".text |= gsub(\"(\"; \"\")", Err("the edit fails"));
        check(".tokens |= gsub(\"1\"; \"2\")", Err("as text"));
        check("empty", Err("nothing"));
        check("., .", Err("more than one"));
        check(".text + 1", Err("the edit fails"));
        check("error(\"no\")", Err("no"));
        check("halt", Err("halts"));
    }

    #[test]
    fn what_does_not_compile_says_where() {
        let check = |text: &str, words: &[&str]| {
            let Err(failure) = Edit::compile(text) else {
                panic!("{text} compiles");
            };
            assert_eq!(failure.reason().lines().count(), 1);
            for word in words {
                assert!(failure.reason().contains(word), "{failure} lacks {word}");
            }
        };
        check(".title = ", &["--edit", "at its end"]);
        check(".title ] 1", &["\"]"]);
        check("\"open", &["expected"]);
        check("nosuch(1)", &["undefined", "nosuch"]);
        check("import \"a\" as a; .", &["import"]);
    }
}
