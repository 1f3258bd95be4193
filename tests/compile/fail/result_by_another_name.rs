use flowkit::{flow, task};

type Fallible<T> = Result<T, std::io::Error>;

#[task]
async fn fetch(n: u8) -> Fallible<u8> {
    Ok(n)
}

#[flow]
async fn all<T: Clone + Send + Sync + 'static>(of: T) -> Fallible<T> {
    Ok(of)
}

fn main() {
    let _ = (fetch(1), all(1));
}
