use std::fs;

use store_log::{Log, LogConfig, LogErrorKind};
use tempfile::TempDir;

#[test]
fn what_is_too_large_is_refused() {
    let directory = TempDir::new().unwrap();
    let log = Log::open(directory.path(), LogConfig::default().with_segment_bytes(1024)).unwrap();
    let most = 1024 - 48 - 24;
    assert_eq!(log.append(vec![1; most + 1]).wait().unwrap_err().kind(), LogErrorKind::TooLarge);
    assert_eq!(log.append_batch([vec![1; most / 2], vec![1; most / 2]]).wait().unwrap_err().kind(), LogErrorKind::TooLarge);
    assert_eq!(log.append(vec![1; most]).wait().unwrap(), 1);
    assert_eq!(log.append(b"").wait().unwrap(), 2);
    assert_eq!(log.read(2).unwrap().unwrap().payload, b"");
}

#[test]
fn a_wrong_configuration_is_refused() {
    let directory = TempDir::new().unwrap();
    for config in [
        LogConfig::default().with_segment_bytes(255),
        LogConfig::default().with_segment_bytes(1 << 32),
        LogConfig::default().with_segment_bytes(1024).with_max_bytes(Some(2047)),
    ] {
        let error = Log::open(directory.path(), config).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::InvalidConfig);
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn a_closed_log_takes_no_more_than_its_entries() {
    let directory = TempDir::new().unwrap();
    let log = Log::open(directory.path().join("deep/inside"), LogConfig::default()).unwrap();
    assert!(log.recovery().is_new);
    let id = log.id();
    log.append(b"one").wait().unwrap();
    let segment = directory.path().join("deep/inside/00000000000000000001.log");
    assert_eq!(fs::metadata(&segment).unwrap().len(), 75 + (1 << 20), "zeros are written ahead");
    let used = log.used_bytes();
    log.close().unwrap();
    // A witness follows what was synced last.
    assert!(used <= 99);
    assert_eq!(fs::metadata(&segment).unwrap().len(), 99);

    let log = Log::open(directory.path().join("deep/inside"), LogConfig::default()).unwrap();
    assert!(!log.recovery().is_new);
    assert_eq!((log.id(), log.next_sequence(), log.used_bytes()), (id, 2, 99));
}

#[test]
fn the_next_segment_is_written_where_the_last_is_full() {
    let directory = TempDir::new().unwrap();
    let log = Log::open(directory.path(), LogConfig::default().with_segment_bytes(4096)).unwrap();
    for _ in 0..100 {
        log.append([1; 200]).wait().unwrap();
    }
    let lengths = |directory: &TempDir| -> Vec<u64> {
        let files = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap());
        let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
        segments.map(|file| file.metadata().unwrap().len()).collect()
    };
    assert!(lengths(&directory).len() >= 6);
    assert!(lengths(&directory).iter().all(|length| *length <= 4096));
    // Whoever releases more than there is releases what there is.
    log.release(u64::MAX).unwrap();
    assert_eq!(lengths(&directory).len(), 1);
    assert_eq!(log.append(b"next").wait().unwrap(), 101);
    assert_eq!(log.read(101).unwrap().unwrap().payload, b"next");
    log.append_batch([[1; 200]; 15]).wait().unwrap();
    log.append_batch([[1; 200]; 15]).wait().unwrap();
    log.close().unwrap();
    let log = Log::open(directory.path(), LogConfig::default().with_segment_bytes(4096)).unwrap();
    assert_eq!(lengths(&directory).into_iter().sum::<u64>(), log.used_bytes(), "full segments have no zeros at the end");
}

#[cfg(target_os = "linux")]
#[test]
fn a_released_segment_gives_its_room_back() {
    let directory = TempDir::new().unwrap();
    let log = Log::open(directory.path(), LogConfig::default().with_segment_bytes(4096)).unwrap();
    for _ in 0..10 {
        log.append([1; 2000]).wait().unwrap();
    }
    assert_eq!(log.entries(1).count(), 10);
    log.release(10).unwrap();
    let held = fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    let deleted: Vec<_> = held.filter(|path| path.starts_with(directory.path()) && path.to_string_lossy().ends_with("(deleted)")).collect();
    assert!(deleted.is_empty(), "{deleted:?}");
}
