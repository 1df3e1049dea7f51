//! The wasmtime engine: compilation, memory allocation for instances, and the clock
//! that interrupts them.

use std::io;
use std::thread;
use std::time::Duration;

use tracing::warn;
use wasmtime::{
    Config, Enabled, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    ProfilingStrategy, WasmBacktraceDetails,
};

use crate::limits::Limits;

/// Creates an engine for `limits` and starts the thread that ticks its epoch, which
/// ends when the last clone of the engine is dropped. `profiling` decides whether
/// the engine writes the names of compiled functions for a profiler.
pub(crate) fn start(
    limits: &Limits,
    profiling: ProfilingStrategy,
) -> Result<wasmtime::Engine, EngineError> {
    let engine = reserve(limits, profiling)?;
    tick(engine.weak(), limits.epoch_tick).map_err(EngineError::Thread)?;
    Ok(engine)
}

/// Reasons why the engine could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("WebAssembly cannot run here: {0}")]
    Unsupported(String),
    #[error("the clock thread could not be started: {0}")]
    Thread(io::Error),
}

/// Sources of memory for instances, best first.
#[derive(Clone, Copy, Debug)]
enum Memories {
    /// A pool of slots of 4 GiB of address space each: no bounds checks in compiled
    /// code, and an instance needs no system call to map memory.
    WideSlots,
    /// A pool of slots of the size of the memory limit: bounds checks, still no
    /// mapping.
    TightSlots,
    /// Memory mapped for each instance, no more than it uses.
    OnDemand,
}

/// Uses the best allocation that the address space permits: containers and `ulimit -v`
/// may leave too little for the pool.
fn reserve(limits: &Limits, profiling: ProfilingStrategy) -> Result<wasmtime::Engine, EngineError> {
    let mut reasons = Vec::new();
    for memories in [
        Memories::WideSlots,
        Memories::TightSlots,
        Memories::OnDemand,
    ] {
        match wasmtime::Engine::new(config(limits, memories).profiler(profiling)) {
            Ok(engine) => {
                if let Some(reason) = reasons.last() {
                    warn!(
                        ?memories,
                        reason, "too little address space for a full pool; calls will be slower"
                    );
                }
                return Ok(engine);
            }
            Err(error) => reasons.push(format!("{error:#}")),
        }
    }
    Err(EngineError::Unsupported(reasons.join("; ")))
}

fn config(limits: &Limits, memories: Memories) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Each call has its own store.
        .concurrency_support(false)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .memory_init_cow(true)
        // A trap is reported by its kind and the names of functions. Line numbers would need
        // debug information that components do not include, and positions in the component
        // or unwinding by a debugger tables that each start would read and check.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .native_unwind_info(cfg!(windows));
    match memories {
        Memories::WideSlots => {
            config.allocation_strategy(pool(limits));
        }
        Memories::TightSlots => {
            config
                .memory_reservation(limits.memory_bytes as u64)
                .memory_guard_size(64 << 10)
                .allocation_strategy(pool(limits));
        }
        Memories::OnDemand => {
            config
                .memory_reservation(0)
                .memory_reservation_for_growth(1 << 20)
                .memory_guard_size(64 << 10)
                .async_stack_size(1 << 20)
                .allocation_strategy(InstanceAllocationStrategy::OnDemand);
        }
    }
    config
}

/// Sizes the pool for one instance per concurrent call.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let calls = limits.concurrent_calls;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(limits.core_instances))
        .total_memories(calls.saturating_mul(limits.memories))
        .total_tables(calls.saturating_mul(limits.tables))
        .total_stacks(calls)
        .max_core_instances_per_component(limits.core_instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_component_instance_size(limits.instance_metadata_bytes)
        .max_core_instance_size(limits.instance_metadata_bytes)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements)
        // A slot keeps the pages that its last instance wrote and resets them by
        // copying: cheaper than to unmap them and fault them in again. The kernel
        // reports which pages those are, so that no others are copied.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Starts the thread that advances the epoch while the engine exists.
pub(crate) fn tick(engine: EngineWeak, period: Duration) -> io::Result<()> {
    thread::Builder::new()
        .name("epoch".into())
        .spawn(move || {
            loop {
                thread::sleep(period);
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocation_can_be_configured() {
        for memories in [
            Memories::WideSlots,
            Memories::TightSlots,
            Memories::OnDemand,
        ] {
            wasmtime::Engine::new(&config(&Limits::default(), memories))
                .unwrap_or_else(|error| panic!("{memories:?}: {error:#}"));
        }
    }
}
