//! A stand-in for the model, so that a small machine is not spent on arithmetic.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Told;

/// A model in `to` with the files of `real`, but without its layers: the same tokens and the same size of vectors, which
/// are made from the words alone.
pub fn stand_in(real: &Path, to: &Path) -> Told<PathBuf> {
    const CONFIG: &str = "config.json";
    let told = |error: &dyn std::fmt::Display| {
        format!(
            "the model in {}: {error}; `make model` fetches it, --model names another",
            real.display()
        )
    };
    std::fs::create_dir_all(to).map_err(|error| told(&error))?;
    for entry in std::fs::read_dir(real).map_err(|error| told(&error))? {
        let file = entry.map_err(|error| told(&error))?;
        if file.file_name() != CONFIG {
            symlink(file.path(), to.join(file.file_name())).map_err(|error| told(&error))?;
        }
    }
    let text = std::fs::read(real.join(CONFIG)).map_err(|error| told(&error))?;
    let mut config: Value = serde_json::from_slice(&text).map_err(|error| told(&error))?;
    config["num_hidden_layers"] = Value::from(0);
    std::fs::write(to.join(CONFIG), config.to_string()).map_err(|error| told(&error))?;
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_layers_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let (real, to) = (folder.path().join("real"), folder.path().join("to"));
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("weights"), "w").unwrap();
        let config = "{\"hidden_size\": 384, \"num_hidden_layers\": 6}";
        std::fs::write(real.join("config.json"), config).unwrap();
        stand_in(&real, &to).unwrap();
        assert_eq!(std::fs::read(to.join("weights")).unwrap(), b"w");
        let made: Value =
            serde_json::from_slice(&std::fs::read(to.join("config.json")).unwrap()).unwrap();
        assert_eq!(made["num_hidden_layers"], 0);
        assert_eq!(made["hidden_size"], 384);
        let error = stand_in(&folder.path().join("none"), &to).unwrap_err();
        assert!(error.contains("--model"), "{error}");
    }
}
