//! Golden vectors.
//!
//! These keys are in caches that exist. A change to any of them is a change of the canonical form: it needs a new
//! `FORMAT_VERSION`, and then, and only then, new vectors here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use flowkit_cache::key::{FORMAT_VERSION, unordered};
use flowkit_cache::{CacheKey, KeyHasher, key_of};
use serde::Serialize;

#[derive(Serialize)]
struct Plant {
    name: &'static str,
    height: f64,
    leaves: Option<u16>,
    position: Position,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(serialize_with = "unordered::serialize")]
    tags: Vec<&'static str>,
}

#[derive(Serialize)]
struct Position(i32, i32);

#[derive(Serialize)]
struct Metres(f32);

#[derive(Serialize)]
struct Marker;

#[derive(Serialize)]
enum Event {
    Sown,
    Watered(f32),
    Moved(i32, i32),
    Measured { height: f64, by: &'static str },
}

fn plant() -> Plant {
    Plant {
        name: "Arabidopsis",
        height: 12.5,
        leaves: Some(7),
        position: Position(-3, 4),
        notes: Vec::new(),
        tags: vec!["wild", "2026"],
    }
}

fn parts() -> CacheKey {
    let mut hasher = KeyHasher::new();
    hasher.section("package", "plants");
    hasher.section("task", "growth");
    hasher.value("rows", &[1.5, 2.5]).unwrap();
    hasher.bytes("image", b"\x89PNG");
    hasher.finish().unwrap()
}

fn key<T: Serialize + ?Sized>(value: &T) -> CacheKey {
    key_of(value).unwrap()
}

fn keys() -> Vec<(&'static str, CacheKey)> {
    vec![
        ("no parts", KeyHasher::new().finish().unwrap()),
        ("parts", parts()),
        ("unit", key(&())),
        ("true", key(&true)),
        ("i8", key(&-1i8)),
        ("u8", key(&255u8)),
        ("i16", key(&i16::MIN)),
        ("u16", key(&u16::MAX)),
        ("i32", key(&1i32)),
        ("u32", key(&1u32)),
        ("i64", key(&i64::MIN)),
        ("u64", key(&u64::MAX)),
        ("i128", key(&i128::MIN)),
        ("u128", key(&u128::MAX)),
        ("f32", key(&0.1f32)),
        ("f64", key(&0.1f64)),
        ("NaN", key(&f64::NAN)),
        ("-0.0", key(&-0.0f64)),
        ("char", key(&'ß')),
        ("empty text", key("")),
        ("text", key("Größe: 12 cm")),
        ("text of 200 bytes", key(&"x".repeat(200))),
        ("bytes", key(serde_bytes::Bytes::new(b"\x00\xff"))),
        ("100,000 bytes", key(serde_bytes::Bytes::new(&[7; 100_000]))),
        ("None", key(&None::<u8>)),
        ("Some(None)", key(&Some(None::<u8>))),
        ("list", key(&vec![1u8, 2, 3])),
        ("array", key(&[1u8, 2, 3])),
        ("tuple", key(&(1u8, "a", ((), 2.0f32)))),
        ("nested lists", key(&vec![vec!["ab"], vec![], vec!["c", ""]])),
        ("map", key(&BTreeMap::from([("b", 1u32), ("a", 300), ("", 0)]))),
        (
            "hash map of hash sets",
            key(&HashMap::from([
                (1u8, HashSet::from(["x", "y"])),
                (2, HashSet::new()),
            ])),
        ),
        (
            "hash set of long texts",
            key(&(0..3000)
                .map(|n| format!("plant number {n}"))
                .collect::<HashSet<_>>()),
        ),
        ("unit struct", key(&Marker)),
        ("newtype struct", key(&Metres(0.5))),
        ("tuple struct", key(&Position(1, -1))),
        ("struct", key(&plant())),
        ("unit variant", key(&Event::Sown)),
        ("newtype variant", key(&Event::Watered(0.25))),
        ("tuple variant", key(&Event::Moved(1, 2))),
        (
            "struct variant",
            key(&Event::Measured {
                height: 3.5,
                by: "camera",
            }),
        ),
        ("result", key(&Err::<u8, _>("broken"))),
        ("duration", key(&Duration::from_millis(1500))),
        ("address", key(&Ipv4Addr::LOCALHOST)),
        ("path", key(std::path::Path::new("data/plants.csv"))),
    ]
}

/// For version 2.
const VECTORS: &str = "\
ab13bedf42e84bae0f7c62c7dd6a8ada571e8829bed6ea558217f0361b5e25d0 no parts
d7b0a0538ef4b5c0578bdffadf02ce5cdac2868a1aaee5b48b689dff42e7e109 parts
3ed2e9bc93f32e7a64f048d2b48efb2624c860f01e76c3162c08928806657c5f unit
e5381e354897b24f590e1014274f85ee2f207ed4a9f880b8ede59707457c9b63 true
1f815122a52b78943d88174b251e2a28ec01cbc73d840fdfb46546226ace2248 i8
00b4543b914514335729e76ae7d0c41c7fa2b0dbac25254134aed0728d302253 u8
914d4c1ac701b6902da6aebf07eda1fd8f6eb7296191641a277428cf87ed636a i16
faf770125fdee48d42331c582b5d5b8d421a8f35a4591142b9cbed2c2171ef23 u16
ce35539746a41ca7049f779e13985e32a8059ee95957d77f41a7da6d4ed3d0b6 i32
c11779a1de8de13af8bfbf22c704ebedcbfd2e9bd98ebcc1a30e83f1afc65544 u32
36c3882554470406730668a0ba1b5c990fecb1331077a1dbcda7ddbf058f6f39 i64
40a58d77b07490b7039065414a71b17fa52e1e3e634e76f354e1b907a039b15b u64
b70aa0922243d58f0a647f3db13ed6c00eced43688f2ed5be746860996405505 i128
28161d75c3793c221379e319aad5f284e7f5fd0afbe68c39be5da116455ee63d u128
f8fc8592e635152ffb2d412b679a6c45ed72b891b61188ffb52cd1004e6880d9 f32
f8fd7f4fcf6f3ef8da8f079682a4a962742eaf3236e27f0406aa1e4f43462274 f64
f663e5da3527e8e1d66b1bdb6d8d878564454b7654c477bc5e64cd29d935da4c NaN
73202a71d412b15405d8592c750f4b405ac2cb9f52f162ffca32c23995721880 -0.0
dcc4d1f1a790631b17d4539be007b632e7491d4c819a961874a2c9541f75c7b4 char
6eee41cccf230c070ed410cec22ed37d97b72bd4651fca0dd58ccf7e904df3be empty text
fe4568ab38fecfd2c91499b6bf7b0a253a2e759021902aa1865e52df97b06963 text
96b74da3c1f51ce9a0fde4faebeaab9772c2c4f87198fe7ef5f0d1b516e0484e text of 200 bytes
0cc2fd859d142749bac84ca168a9c78f83b7ae1edbc226a64469f2c87b14303c bytes
b3421d931c73d6ed26209396fcbe9a4d5bce9fc1c9e2f678a9b1c6dba01e7a09 100,000 bytes
af3ad8494b4a34edec088d38b78c994c86414a64e2d4d1ae071efe08228a01e4 None
60005bc89dcc6c5c2120bb5c309f4adcc37f076b0065f8fd859a40d08787f7a2 Some(None)
5408065018512f6ee6dcdea4fcdd02204723036810327cec26e5f39c8be519fa list
b941266872992f29a08f31e885956fa20b8f6f8ed5f105b7d7ac1e9fe510f17a array
eaa5da30b5c449dbc086211c98e8c3ff9b4e4aefec74ddbd2aa7ae29359a1e45 tuple
1ad58854894e8e5616981bb7bdc52ffd3850d54c72270e9f9350df5bf6ba15b9 nested lists
76ddb0261b9dcec90ba970242b694426b39fba2f44d1236e2819b9b9cf2df4c1 map
8b8409d71dc4f8fb9c37371ab76ad0b49ec58dc80f00b7bb1dc6bd15b4436d57 hash map of hash sets
aae88a74a246395f8f9ec6bf51d4bb0791cf8df016d78c53b0e882474f993b09 hash set of long texts
20a66afaa72b0ee036b85a873ea0e1292caf8074840119603fc28bb429677ab4 unit struct
92c8fc0edc835c462a7c66d170c392a4f3d211b959bf3529f21fd648d723bfc7 newtype struct
cd0a25f86669f2e79bdf8e52328f21e070830cee983b577ed7458fc7d97b7494 tuple struct
930d839d6e40c1a383b6cd1b58086c4715750f977e4f4fa0662bf1d1fca4f20b struct
3b2fdfdcc3e658db37ba81ee2425e0f68d326edd9b01c37a82b6c7edcd13ffdd unit variant
171142dd164202247ba2e2151090edc87567169356db45ddbe654e4a96aa4e9f newtype variant
2f52a0e19f682ea396fc383abbe52f827431db54243a51021305b8b7b6069051 tuple variant
e2fe9caa9850c4b5fd97abc0954127ac4f6f854e7e82e718ef8c4e12194786ee struct variant
bf71ed058b38f92a8cdb8753ab84ef30d55b20add629fd045de36a89c8fe11be result
19cafabb4294c37db939a0c64d3dda14150c84fbc8002eec7597d6464ef76ae1 duration
ac05ede2ca1c44c6b191958268d833e2307bce18ad3b8ab941f303313b518e71 address
df73be50d0a49a9493b04d75017a1c682d308e57756935d50c0f492563361ca2 path
";

#[test]
fn keys_are_what_they_have_always_been() {
    assert_eq!(FORMAT_VERSION, 2, "the vectors are of version 2");
    let keys = keys();
    assert_eq!(keys.len(), VECTORS.lines().count());
    for ((name, key), always) in keys.iter().zip(VECTORS.lines()) {
        assert_eq!(format!("{key} {name}"), always);
    }
}
