//! The part of WASI that Rust's standard library uses in a component: environment,
//! standard streams, clocks and random numbers. Filesystem and sockets are not linked
//! at all.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::embed::ctx::UserAuthCtx;
use crate::embed::host::HostState;
use crate::embed::linker::UserAuthView;

/// Links these interfaces.
pub(crate) fn add_to_linker<T: UserAuthView + 'static>(l: &mut Linker<T>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<T, HasTable>(l, |t| t.user_auth().ctx().table)?;
    io::poll::add_to_linker::<T, HasTable>(l, |t| t.user_auth().ctx().table)?;
    io::streams::add_to_linker::<T, HasTable>(l, |t| t.user_auth().ctx().table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, |t| t.user_auth().clocks())?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, |t| t.user_auth().clocks())?;
    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.user_auth().random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.user_auth().random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.user_auth().random())?;
    cli::exit::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::environment::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    Ok(())
}

/// The WASI state of one instance.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    output: MemoryOutputPipe,
}

impl Wasi {
    /// No input, no arguments, no files, no network. The settings are its environment;
    /// its output is kept, up to a limit, for the debug log.
    pub(crate) fn new(host: &HostState) -> Self {
        let output = MemoryOutputPipe::new(host.limits.output_bytes_per_call);
        let ctx = WasiCtx::builder()
            .envs(&host.settings)
            .stdout(output.clone())
            .stderr(output.clone())
            .max_random_size(host.limits.random_bytes)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self {
            ctx,
            table: ResourceTable::new(),
            output,
        }
    }

    /// Returns the output of the instance so far.
    pub(crate) fn printed(&self) -> bytes::Bytes {
        self.output.contents()
    }
}

impl WasiView for UserAuthCtx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}
