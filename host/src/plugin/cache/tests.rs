use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::files::read_large;

/// The smallest component there is: the header and nothing else.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
/// The id of a user who does not run tests.
const STRANGER: u32 = 65534;

struct Fixture {
    scratch: TempDir,
    engine: Engine,
}

impl Fixture {
    /// A cache that holds one component.
    fn new() -> Self {
        let fixture = Self {
            scratch: tempdir().unwrap(),
            engine: Engine::default(),
        };
        fixture.fill(&fixture.open());
        fixture
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    fn open(&self) -> Cache {
        Cache::open(&self.folder()).unwrap()
    }

    fn fill(&self, cache: &Cache) {
        cache.put(&Component::new(&self.engine, EMPTY).unwrap(), &[7; 32]);
    }

    fn has(&self, cache: &Cache) -> bool {
        cache.get(&self.engine, &[7; 32]).is_some()
    }

    fn file(&self) -> PathBuf {
        self.folder().join(name(&self.engine, &[7; 32]))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Returns whether the tests may give files away.
fn is_root() -> bool {
    File::open("/proc/self/status").is_ok() && crate::files::own_id() == 0
}

#[test]
fn a_stored_component_is_found_again() {
    let fixture = Fixture::new();
    let cache = fixture.open();
    assert!(fixture.has(&cache));
    assert!(cache.get(&fixture.engine, &[8; 32]).is_none());
    assert!(fixture.has(&fixture.open()), "by another process");
}

#[test]
fn damaged_code_is_detected_before_use() {
    let fixture = Fixture::new();
    let cache = fixture.open();
    let whole = fs::read(fixture.file()).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() / 2], &whole[..16], &[]] {
        fs::write(fixture.file(), damaged).unwrap();
        assert!(!fixture.has(&cache));
        fixture.fill(&cache);
        assert!(fixture.has(&cache), "it was replaced");
    }
}

#[test]
fn code_of_another_component_is_rejected() {
    let fixture = Fixture::new();
    let cache = fixture.open();
    let other = fixture.folder().join(name(&fixture.engine, &[8; 32]));
    fs::rename(fixture.file(), other).unwrap();
    assert!(cache.get(&fixture.engine, &[8; 32]).is_none());
}

#[test]
fn a_file_that_others_may_write_or_that_is_not_regular_is_not_used() {
    let fixture = Fixture::new();
    let cache = fixture.open();
    let file = fixture.file();
    let away = fixture.scratch.path().join("away");
    let spoil: [(&str, &dyn Fn()); 5] = [
        ("mode 666", &|| set_mode(&file, 0o666)),
        ("a link", &|| {
            fs::rename(&file, &away).unwrap();
            symlink(&away, &file).unwrap();
        }),
        ("a second name", &|| {
            let _ = fs::remove_file(&away);
            fs::hard_link(&file, &away).unwrap();
        }),
        ("a pipe", &|| {
            fs::remove_file(&file).unwrap();
            let made = std::process::Command::new("mkfifo").arg(&file).status();
            assert!(made.unwrap().success());
        }),
        ("another's", &|| {
            if is_root() {
                chown(&file, Some(STRANGER), None).unwrap();
            } else {
                set_mode(&file, 0o620);
            }
        }),
    ];
    for (how, spoil) in spoil {
        assert!(fixture.has(&cache));
        spoil();
        assert!(!fixture.has(&cache), "{how}");
        fixture.fill(&cache);
        let metadata = file.symlink_metadata().unwrap();
        assert!(metadata.is_file(), "{how}");
        assert_eq!(metadata.mode() & 0o777, 0o600, "{how}");
    }
    assert!(fixture.has(&cache));
}

#[test]
fn files_written_while_the_cache_was_open_to_others_are_not_used_later() {
    let fixture = Fixture::new();
    let (folder, file) = (fixture.folder(), fixture.file());
    let key_file = folder.join(KEY_FILE);
    // Before: everyone may read and write everything.
    set_mode(&folder, 0o777);
    set_mode(&file, 0o666);
    set_mode(&key_file, 0o666);
    assert!(Cache::open(&folder).is_err());
    // Another user seals code under the key that everyone can read, in our file.
    let metadata = key_file.metadata().unwrap();
    let forged = Cache {
        path: folder.clone(),
        key: derived(&Found {
            bytes: read_large(&fs::File::open(&key_file).unwrap(), KEY_BYTES).unwrap(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            is_readable_by_others: false,
        })
        .unwrap(),
        folder: Folder::open(fixture.scratch.path()).unwrap(),
    };
    let code = Component::new(&fixture.engine, EMPTY)
        .unwrap()
        .serialize()
        .unwrap();
    let name = name(&fixture.engine, &[7; 32]);
    let seal = forged.seal(&name, &code);
    fs::write(&file, [&seal.as_bytes()[..], &code].concat()).unwrap();
    // This is what the message advises, and more.
    set_mode(&folder, 0o700);
    set_mode(&file, 0o600);
    let open_since = metadata;
    let is_later = || {
        // The clock of a file system may tick in milliseconds.
        set_mode(&key_file, 0o600);
        let now = key_file.metadata().unwrap();
        (now.ctime(), now.ctime_nsec()) != (open_since.ctime(), open_since.ctime_nsec())
    };
    while !is_later() {}
    let cache = fixture.open();
    assert!(!fixture.has(&cache));
    fixture.fill(&cache);
    assert!(fixture.has(&fixture.open()));
}

#[test]
fn a_key_readable_by_others_is_replaced_with_its_files() {
    let fixture = Fixture::new();
    let key_file = fixture.folder().join(KEY_FILE);
    let before = fs::read(&key_file).unwrap();
    set_mode(&key_file, 0o644);
    let cache = fixture.open();
    assert_ne!(fs::read(&key_file).unwrap(), before);
    assert_eq!(key_file.metadata().unwrap().mode() & 0o777, 0o600);
    assert!(!fixture.has(&cache));
    fs::write(&key_file, b"short").unwrap();
    fixture.open();
    assert_eq!(fs::read(&key_file).unwrap().len(), KEY_BYTES);
}

#[test]
fn a_folder_swapped_after_opening_is_not_read() {
    let fixture = Fixture::new();
    let cache = fixture.open();
    let folder = fixture.folder();
    let mine = fixture.scratch.path().join("mine");
    fs::rename(&folder, &mine).unwrap();
    // The folder that now has the name would not be accepted.
    fs::create_dir(&folder).unwrap();
    fs::write(fixture.file(), b"planted").unwrap();
    assert!(fixture.has(&cache), "that of the folder that was opened");
    cache.put(&Component::new(&fixture.engine, EMPTY).unwrap(), &[9; 32]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert!(mine.join(name(&fixture.engine, &[9; 32])).exists());
}

#[test]
fn a_folder_accessible_to_others_is_rejected() {
    let scratch = tempdir().unwrap();
    let folder = scratch.path().join("cache");
    fs::create_dir(&folder).unwrap();
    for mode in [0o777, 0o770, 0o722] {
        set_mode(&folder, mode);
        let error = Cache::open(&folder).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let told = error.to_string();
        assert!(
            told.contains("chmod 700") && told.contains(&format!("{mode:o}")),
            "{told}"
        );
    }
    set_mode(&folder, 0o700);
    let link = scratch.path().join("link");
    symlink(&folder, &link).unwrap();
    let told = Cache::open(&link).err().unwrap().to_string();
    assert!(told.contains("a link"), "{told}");
    if is_root() {
        chown(&folder, Some(STRANGER), None).unwrap();
        let told = Cache::open(&folder).err().unwrap().to_string();
        assert!(told.contains("belongs to user 65534"), "{told}");
    }
}

#[test]
fn leftover_files_are_deleted_but_not_files_being_written() {
    let fixture = Fixture::new();
    let left = fixture.folder().join("left.new");
    File::create(&left).unwrap();
    let written = File::create(fixture.folder().join("written.new")).unwrap();
    written.lock().unwrap();
    fixture.open();
    let names = fixture.names();
    assert!(names.contains(&"written.new".to_owned()), "{names:?}");
    assert!(!left.exists(), "{names:?}");
}

#[test]
fn the_newest_components_are_kept() {
    let fixture = Fixture::new();
    let cache = fixture.open();
    let component = Component::new(&fixture.engine, EMPTY).unwrap();
    for number in 0..=MAX_COMPONENTS as u8 + 2 {
        cache.put(&component, &[number; 32]);
    }
    assert_eq!(cache.folder.files(ENDING).len(), MAX_COMPONENTS);
}

#[test]
fn concurrent_openers_of_a_new_cache_share_one_key() {
    let scratch = tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let barrier = std::sync::Barrier::new(8);
    let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    *Cache::open(&folder).unwrap().key
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}
