//! Text to terms: the same for documents and queries, whatever their language.

/// Longest term in characters; beyond it stands no word anybody searches for.
const LONGEST: usize = 64;
/// Longest compound in pieces: longer ones (paths, digests in groups) are found by their pieces.
const MOST_PIECES: usize = 8;

/// Words too common to tell texts apart, in English and German, folded. Question words are among them: in a query they
/// are rare enough in manuals to outweigh what is asked for.
const STOP_WORDS: &[&str] = &[
    "a", "aber", "als", "also", "am", "an", "and", "are", "as", "at", "auch", "auf", "aus", "be",
    "been", "bei", "but", "by", "can", "das", "dem", "den", "der", "des", "did", "die", "dies",
    "do", "does", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es", "for", "from",
    "fur", "had", "has", "hat", "have", "how", "i", "if", "ihr", "im", "in", "into", "is", "ist",
    "it", "its", "man", "mit", "nach", "nicht", "oder", "of", "on", "or", "s", "sein", "sich",
    "sie", "sind", "so", "t", "that", "the", "their", "then", "there", "these", "they", "this",
    "to", "uber", "um", "und", "vom", "von", "wann", "war", "warum", "was", "we", "welche",
    "welchem", "welchen", "welcher", "welches", "wer", "were", "what", "when", "where", "which",
    "who", "whom", "whose", "why", "wie", "will", "wird", "with", "wo", "would", "you", "your",
    "zu", "zum", "zur",
];

/// A word of the text with the terms it is found by; the first is the word itself, folded.
pub type Word = Vec<String>;

/// The words of a text in order, stop words left out. A word's terms are:
/// - the word, lower-case, without diacritics (`Gebühr` → `gebuhr`, and `gebuehr` as it is written on other keyboards);
/// - its English and its German stem, both, so that neither text nor query needs to know its language;
/// - for compounds (`INV-2025-00317`, `12.5`, `e-mail`): the whole without its joints (`inv202500317`), and each piece
///   with its own terms; letters and digits written together (`LD48213`) come apart too.
pub fn words(text: &str) -> Vec<Word> {
    let folded = fold(text);
    let mut words = Vec::new();
    let mut pieces: Vec<&str> = Vec::new();
    let mut start = None;
    let mut characters = folded.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character.is_alphanumeric() {
            start.get_or_insert(at);
            continue;
        }
        if let Some(from) = start.take() {
            pieces.extend(folded.get(from..at));
        }
        let joins = matches!(
            character,
            '-' | '_' | '.' | ',' | '/' | '@' | ':' | '\'' | '\u{2011}'
        ) && !pieces.is_empty()
            && characters
                .peek()
                .is_some_and(|(_, next)| next.is_alphanumeric());
        if !joins {
            compound(&mut pieces, &mut words);
        }
    }
    if let Some(from) = start {
        pieces.extend(folded.get(from..));
    }
    compound(&mut pieces, &mut words);
    words
}

/// Takes the pieces of one compound, or of a single word, and adds their words.
fn compound(pieces: &mut Vec<&str>, words: &mut Vec<Word>) {
    let digits = pieces
        .iter()
        .any(|piece| piece.contains(|c: char| c.is_numeric()));
    if (2..=MOST_PIECES).contains(&pieces.len()) {
        let whole = pieces.concat();
        if whole.chars().count() <= LONGEST {
            words.push(vec![whole]);
        }
    }
    for piece in pieces.drain(..) {
        single(piece, digits, words);
    }
}

/// `kept`: a piece of something with digits, where no word is too common (`A-7`, `IT-2024`).
fn single(piece: &str, kept: bool, words: &mut Vec<Word>) {
    if piece.contains(without_spaces) {
        return pairs(piece, words);
    }
    if piece.chars().count() > LONGEST {
        return;
    }
    if piece.contains(|c: char| c.is_numeric()) {
        let mut terms = vec![piece.to_owned()];
        let runs = runs(piece);
        if runs.len() > 1 && runs.len() <= MOST_PIECES {
            terms.extend(runs.into_iter().map(str::to_owned));
        }
        words.push(terms);
        return;
    }
    let (plain, spelled) = umlauts(piece);
    if !kept && STOP_WORDS.binary_search(&plain.as_str()).is_ok() {
        return;
    }
    let mut terms = stems(plain);
    if let Some(spelled) = spelled {
        terms.extend(stems(spelled));
    }
    let mut distinct: Word = Vec::with_capacity(terms.len());
    for term in terms {
        if !distinct.contains(&term) {
            distinct.push(term);
        }
    }
    words.push(distinct);
}

fn stems(word: String) -> Vec<String> {
    use rust_stemmers::{Algorithm, Stemmer};
    let english = Stemmer::create(Algorithm::English).stem(&word).into_owned();
    let german = Stemmer::create(Algorithm::German).stem(&word).into_owned();
    vec![word, english, german]
}

/// Runs of digits and of other characters.
fn runs(piece: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, character) in piece.char_indices() {
        let numeric = character.is_numeric();
        if last.is_some_and(|last| last != numeric) {
            runs.extend(piece.get(start..at));
            start = at;
        }
        last = Some(numeric);
    }
    runs.extend(piece.get(start..));
    runs
}

/// Scripts written without spaces: every two neighbouring characters are a term, and so is a character on its own.
fn pairs(piece: &str, words: &mut Vec<Word>) {
    let characters: Vec<char> = piece.chars().collect();
    if let [one] = characters.as_slice() {
        words.push(vec![one.to_string()]);
    }
    for pair in characters.windows(2) {
        words.push(vec![pair.iter().collect()]);
    }
}

/// Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar.
fn without_spaces(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Lower-case, without diacritics. Umlauts stay (`umlauts` needs them), also where they are written as a letter and a
/// combining mark; other combining marks, soft hyphens and zero-width characters go.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            '\u{0308}' => match folded.pop() {
                Some('a') => folded.push('ä'),
                Some('o') => folded.push('ö'),
                Some('u') => folded.push('ü'),
                Some(other) => folded.push(other),
                None => {}
            },
            '\u{0300}'..='\u{036F}' | '\u{00AD}' | '\u{200B}'..='\u{200D}' | '\u{FEFF}' => {}
            '\u{2019}' => folded.push('\''),
            'ä' | 'ö' | 'ü' => folded.push(character),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ﬁ' => folded.push_str("fi"),
            'ﬂ' => folded.push_str("fl"),
            'ﬀ' => folded.push_str("ff"),
            // Full-width forms of ASCII.
            '\u{FF01}'..='\u{FF5E}' => {
                folded.extend(char::from_u32(u32::from(character) - 0xFEE0));
            }
            _ => folded.push(letter(character)),
        }
    }
    folded
}

/// A Latin letter without its diacritic; any other character as it is.
fn letter(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ð' | 'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' => 'h',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='õ' | 'ø' | 'ō' | 'ŏ' | 'ő' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ŧ' | 'ț' => 't',
        'ù'..='û' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

/// Without umlauts, and, where there were some, with them spelled out: `gebuhr`, `gebuehr`.
fn umlauts(word: &str) -> (String, Option<String>) {
    let plain = word.replace('ä', "a").replace('ö', "o").replace('ü', "u");
    let spelled = (plain != word).then(|| {
        word.replace('ä', "ae")
            .replace('ö', "oe")
            .replace('ü', "ue")
    });
    (plain, spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&[&str]]) {
        assert_eq!(words(text), expect, "{text:?}");
    }

    #[test]
    fn stop_words_are_sorted() {
        let mut sorted = STOP_WORDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(STOP_WORDS, sorted);
    }

    #[test]
    fn words_are_folded_and_stemmed() {
        check("Truck", &[&["truck"]]);
        check("THE trucks", &[&["trucks", "truck"]]);
        check("Café, naïve!", &[&["cafe", "caf"], &["naive", "naiv"]]);
        check("cafe\u{301}", &[&["cafe", "caf"]]);
        check("", &[]);
        check(" ... -- ' ", &[]);
        check("what is the", &[]);
    }

    #[test]
    fn umlauts_are_found_in_three_spellings() {
        let terms = |text: &str| words(text).concat();
        for (written, query) in [
            ("Müller", "Mueller"),
            ("Mueller", "Müller"),
            ("Müller", "Muller"),
            ("MU\u{308}LLER", "Müller"),
            ("Straße", "strasse"),
            ("STRASSE", "Straße"),
        ] {
            let document = terms(written);
            assert!(
                terms(query).iter().any(|term| document.contains(term)),
                "{written} is not found by {query}"
            );
        }
    }

    #[test]
    fn identifiers_are_kept_whole_and_in_pieces() {
        check(
            "INV-2025-00317",
            &[&["inv202500317"], &["inv"], &["2025"], &["00317"]],
        );
        check("LD48213", &[&["ld48213", "ld", "48213"]]);
        check("LD-48213.", &[&["ld48213"], &["ld"], &["48213"]]);
        check("12.5", &[&["125"], &["12"], &["5"]]);
        check("IT-7", &[&["it7"], &["it"], &["7"]]);
        check("x_y", &[&["xy"], &["x"], &["y"]]);
    }

    #[test]
    fn however_an_identifier_is_written_it_is_found() {
        for (written, query) in [
            ("INV-2025-00317", "inv202500317"),
            ("INV-2025-00317", "INV 2025 00317"),
            ("LD-48213", "ld48213"),
            ("LD48213", "LD-48213"),
            ("LD\u{2011}48213", "LD-48213"),
        ] {
            let document = words(written).concat();
            assert!(
                words(query)
                    .concat()
                    .iter()
                    .any(|term| document.contains(term)),
                "{written} is not found by {query}"
            );
        }
    }

    #[test]
    fn scripts_without_spaces_come_in_pairs() {
        check("東京都", &[&["東京"], &["京都"]]);
        check("車", &[&["車"]]);
    }

    #[test]
    fn long_runs_are_bounded() {
        let blob = "x".repeat(100_000);
        check(&blob, &[]);
        let path = ["ab"; 50].join("/");
        assert!(words(&path).iter().flatten().all(|term| term.len() <= 2));
    }
}
