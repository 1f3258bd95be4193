use flowkit::prelude::*;

struct Order;

#[task(effect, cache)]
async fn pay(n: u8) -> u8 {
    n
}

#[task(effect, persist = false)]
async fn mail(n: u8) -> u8 {
    n
}

#[task(persist = "no")]
async fn print(n: u8) -> u8 {
    n
}

#[task(effect)]
async fn ship(_order: Order) -> u8 {
    1
}

#[task(persist)]
async fn order(_n: u8) -> Order {
    Order
}

fn main() {
    let _ = (pay(1), mail(1), print(1), ship(Order), order(1));
}
