struct Table;

impl Table {
    #[flowkit::fingerprint]
    fn len(&self) -> usize {
        0
    }
}

#[flowkit::fingerprint]
const TABLE: Table = Table;

fn main() {
    let _ = TABLE.len();
}
