//! Pages of a scan.

use super::*;

pub async fn a_scan_is_ordered_by_the_bytes_of_the_keys(bed: TestStore) {
    let ordered = ["!", "-", "A", "B", "_", "a", "a!", "aa", "b", "~"];
    bed.commit(
        ordered
            .iter()
            .rev()
            .map(|key| put(key, ""))
            .collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(bed.page("", None, 100).await.0, ordered);
}

pub async fn a_scan_covers_nothing_but_its_prefix(bed: TestStore) {
    let keys = [
        "A/1", "a", "a.", "a/", "a/1", "a/~", "a/~~", "a0", "b", "~", "~~", "~~~",
    ];
    bed.commit(keys.map(|key| put(key, ""))).await;
    assert_eq!(
        bed.page("a/", None, 100).await.0,
        ["a/", "a/1", "a/~", "a/~~"]
    );
    assert_eq!(bed.page("a/~", None, 100).await.0, ["a/~", "a/~~"]);
    assert_eq!(bed.page("~~", None, 100).await.0, ["~~", "~~~"]);
    assert_eq!(bed.page("none", None, 100).await, (vec![], None));
    let longest = "~".repeat(MAX_KEY_BYTES);
    bed.commit([put(&longest, "")]).await;
    assert_eq!(bed.page(&longest, None, 100).await.0, [longest]);
}

pub async fn wildcards_in_a_prefix_stand_for_themselves(bed: TestStore) {
    let keys = ["%", "%1", "[a]", "_", "_1", "a", "ab", "*", "*1", "?"];
    bed.commit(keys.map(|key| put(key, ""))).await;
    assert_eq!(bed.page("%", None, 100).await.0, ["%", "%1"]);
    assert_eq!(bed.page("_", None, 100).await.0, ["_", "_1"]);
    assert_eq!(bed.page("*", None, 100).await.0, ["*", "*1"]);
    assert_eq!(bed.page("[a]", None, 100).await.0, ["[a]"]);
}

pub async fn an_empty_prefix_covers_everything(bed: TestStore) {
    let longest = "~".repeat(MAX_KEY_BYTES);
    bed.commit([put("!", ""), put("m", ""), put(&longest, "")])
        .await;
    assert_eq!(
        bed.page("", None, 100).await,
        (vec!["!".into(), "m".into(), longest], None)
    );
}

pub async fn pages_meet_without_gap_or_overlap(bed: TestStore) {
    let keys: Vec<String> = (0..10).map(|n| format!("p/{n}")).collect();
    bed.commit(keys.iter().map(|key| put(key, "")).collect::<Vec<_>>())
        .await;
    bed.commit([
        put("o", ""),
        put("p", ""),
        put("p/3/child", ""),
        put("p0", ""),
    ])
    .await;
    let mut expected = keys;
    expected.insert(4, "p/3/child".into());
    for limit in 1..=12 {
        let (mut seen, mut after, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let (page, next) = bed.page("p/", after.as_deref(), limit).await;
            pages += 1;
            assert!(
                pages <= expected.len(),
                "limit {limit}: the pages do not end"
            );
            seen.extend(page);
            let Some(next) = next else { break };
            after = Some(next);
        }
        assert_eq!(seen, expected, "limit {limit}");
        assert_eq!(
            pages,
            expected.len().div_ceil(limit as usize),
            "limit {limit}"
        );
    }
}

pub async fn a_page_that_ends_with_the_last_record_has_no_next(bed: TestStore) {
    bed.commit([put("p/1", ""), put("p/2", ""), put("q", "")])
        .await;
    assert_eq!(bed.page("p/", None, 2).await.1, None);
    assert!(bed.page("p/", None, 1).await.1.is_some());
}

pub async fn after_need_not_exist_nor_begin_with_the_prefix(bed: TestStore) {
    bed.commit([
        put("b", ""),
        put("p/1", ""),
        put("p/2", ""),
        put("p/3", ""),
        put("z", ""),
    ])
    .await;
    assert_eq!(bed.page("p/", Some("p/11"), 9).await.0, ["p/2", "p/3"]);
    assert_eq!(bed.page("p/", Some("a"), 9).await.0, ["p/1", "p/2", "p/3"]);
    assert_eq!(bed.page("p/", Some("p/3"), 9).await, (vec![], None));
    assert_eq!(bed.page("p/", Some("zz"), 9).await, (vec![], None));
}

pub async fn the_limit_of_a_page_is_clamped(bed: TestStore) {
    let keys: Vec<_> = (0..=MAX_PAGE)
        .map(|n| put(&format!("{n:05}"), ""))
        .collect();
    bed.commit(keys).await;
    let (page, next) = bed.page("", None, u32::MAX).await;
    assert_eq!(page.len(), MAX_PAGE as usize);
    assert!(next.is_some());
    assert_eq!(bed.page("", None, 0).await.0.len(), 1);
}
