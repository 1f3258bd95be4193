use flowkit::task;

struct Result<T>(T);

#[task]
async fn fetch(n: u8) -> Result<u8> {
    Result(n)
}

fn main() {
    let _ = fetch(1);
}
