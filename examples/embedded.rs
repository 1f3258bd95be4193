//! A service that runs a flow for each request and shuts down gracefully: `cargo run --example embedded`, then
//! `curl 127.0.0.1:8080/42`, then ctrl-c. With `-- --once` it asks itself once and ends.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the service holds, lent to tasks that ask for it.
#[derive(Default)]
struct Served(AtomicU64);

#[task(cache)]
async fn divisors(n: u64) -> Vec<u64> {
    (1..=n).filter(|divisor| n.is_multiple_of(*divisor)).collect()
}

#[task]
async fn answer(divisors: &[u64], #[resource] served: &Served) -> String {
    let served = served.0.fetch_add(1, Ordering::Relaxed) + 1;
    format!("{divisors:?} (answer {served})\n")
}

#[flow]
async fn handle(path: String) -> Result<String> {
    let n: u64 = path.trim_start_matches('/').parse()?;
    Ok(answer(divisors(n)).await?)
}

async fn serve(runtime: Runtime, mut stream: TcpStream) -> Result<()> {
    let mut request = [0; 1024];
    let read = stream.read(&mut request).await?;
    let text = String::from_utf8_lossy(request.get(..read).unwrap_or_default()).into_owned();
    let path = text.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let (status, body) = match runtime.run(handle(path)).await.into_result() {
        Ok(body) => ("200 OK", body),
        Err(error) => ("400 Bad Request", format!("{error:?}\n")),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    Ok(())
}

async fn ask(address: std::net::SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /42 HTTP/1.1\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::main]
async fn main() -> Result<()> {
    let once = std::env::args().any(|argument| argument == "--once");
    let runtime = Runtime::builder().resource(Served::default()).build().await?;
    let listener = TcpListener::bind(if once { "127.0.0.1:0" } else { "127.0.0.1:8080" }).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");

    let service = async {
        loop {
            let (stream, _) = listener.accept().await?;
            let runtime = runtime.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(runtime, stream).await {
                    println!("a request was not answered: {error}");
                }
            });
        }
        #[expect(unreachable_code, reason = "it gives the block its type")]
        Result::<()>::Ok(())
    };
    let end = async {
        if once {
            println!("{}", ask(address).await?);
            return Result::<()>::Ok(());
        }
        Ok(tokio::signal::ctrl_c().await?)
    };
    tokio::select! {
        served = service => served?,
        ended = end => ended?,
    }
    let cancelled = runtime.shutdown(Duration::from_secs(10)).await;
    println!("shut down; {cancelled} runs were cancelled");
    Ok(())
}
