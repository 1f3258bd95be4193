use flowkit::prelude::*;

#[task]
async fn push(values: &mut Vec<u8>, n: u8) {
    values.push(n);
}

fn main() {
    let _ = push(&mut vec![1], 2).submit();
}
