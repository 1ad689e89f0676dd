//! The keys that are there already.

use std::path::Path;

use hooks_core::BoxError;
use hooks_server::Keys;

use crate::files;

/// Those of a file that the config names, else those in the bus's folder.
///
/// # Errors
/// When there are none.
pub(crate) fn kept(named: Option<&Path>, folder: Option<&Path>) -> Result<Keys, BoxError> {
    let path = named.map(Path::to_owned).or_else(|| folder.map(|folder| folder.join(Keys::FILE)));
    let path = path.ok_or("there is no key that seals: set api.secrets_key_file, the same on all instances")?;
    let keys = files::secrets(&path).map_err(|error| error.to_string()).and_then(|text| Keys::parse(&text));
    keys.map_err(|why| format!("{}: {why}", path.display()).into())
}
