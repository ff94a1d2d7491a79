//! What a file argument names, found before anything is touched.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufRead, BufReader};

/// How much is read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A file, or standard input, to read from.
pub struct Input {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    name: String,
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Input").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Input {
    /// The input that an argument names; - for standard input.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn named(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let reader = BufReader::with_capacity(BUFFER_BYTES, tokio::io::stdin());
            return Ok(Self { reader: Box::new(reader), name: "standard input".to_owned() });
        }
        let opening = || format!("opening {}", path.display());
        let file = tokio::fs::File::open(path).await.with_context(opening)?;
        let is_folder = file.metadata().await.with_context(opening)?.is_dir();
        ensure!(!is_folder, "{}: it is a folder", opening());
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { reader: Box::new(reader), name: path.display().to_string() })
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to read from.
    pub fn into_reader(self) -> Box<dyn AsyncBufRead + Unpin + Send> {
        self.reader
    }
}
