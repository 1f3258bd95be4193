//! A service that runs a flow for each request and shuts down gracefully: `cargo run --example embedded`, then
//! `curl 127.0.0.1:8080/42`, then ctrl-c or SIGTERM. With `-- --once` it asks itself once and ends.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit_examples::interrupted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the service holds, lent to tasks that ask for it.
#[derive(Default)]
struct Served(AtomicU64);

/// Computes without awaiting anything, so it is not async and runs on the pool for such work. It cannot be stopped from outside there,
/// and asks now and then whether it is to stop.
#[task(cache, timeout = "30s")]
fn divisors(n: u64) -> Result<Vec<u64>> {
    let run = flowkit::current_run().ok_or("called outside a run")?;
    let mut divisors = Vec::new();
    for divisor in 1..=n {
        if divisor % 1_000_000 == 0 && run.is_cancelled() {
            return Err("stopped".into());
        }
        if n.is_multiple_of(divisor) {
            divisors.push(divisor);
        }
    }
    Ok(divisors)
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
    let wanted = if once { "127.0.0.1:0" } else { "127.0.0.1:8080" };
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
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
        Ok(interrupted().await?)
    };
    tokio::select! {
        served = service => served?,
        ended = end => ended?,
    }
    println!("shutting down: what runs has ten seconds, ctrl-c ends it at once");
    let cancelled = tokio::select! {
        cancelled = runtime.shutdown(Duration::from_secs(10)) => cancelled,
        _ = interrupted() => runtime.shutdown(Duration::ZERO).await,
    };
    println!("shut down; {cancelled} runs were cancelled");
    Ok(())
}
