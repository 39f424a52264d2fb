//! Components that try to hurt whoever compiles them.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, Module, TypeSection,
    ValType,
};

pub struct Bomb {
    /// As in docs/THREAT_MODEL.md.
    pub name: &'static str,
    pub component: fn() -> Vec<u8>,
    /// One of these is in the one line: which limit is met first may depend on the machine.
    pub says: &'static [&'static str],
}

const CUT_OFF: &[&str] = &["of CPU time to compile", "of memory to compile"];
/// What compiles within the limits is refused afterwards: none of these is a guest.
const COMPILED: &[&str] = &["does not export ig:gadget/handler@0.1.0"];
const EITHER: &[&str] = &[CUT_OFF[0], CUT_OFF[1], COMPILED[0]];
/// The validator's own limits.
const INVALID: &[&str] = &["the component is not valid"];

/// Every bomb, in the order of the table.
pub fn all() -> Vec<Bomb> {
    let bomb = |name, component, says| Bomb {
        name,
        component,
        says,
    };
    vec![
        bomb("many-functions", many_functions, CUT_OFF),
        bomb("many-types", many_types, INVALID),
        bomb("many-locals", many_locals, CUT_OFF),
        bomb("many-parameters", many_parameters, CUT_OFF),
        bomb("many-live-values", many_live_values, EITHER),
        bomb("many-imports", many_imports, COMPILED),
        bomb("many-exports", many_exports, COMPILED),
        bomb("deep-nesting", deep_nesting, CUT_OFF),
        bomb("deep-types", deep_types, INVALID),
        bomb("wide-types", wide_types, INVALID),
        bomb("deep-components", deep_components, &["composed of others"]),
        bomb("huge-br-table", huge_br_table, EITHER),
        bomb("huge-function", huge_function, INVALID),
        bomb("long-constant", long_constant, CUT_OFF),
        bomb("many-instances", many_instances, EITHER),
    ]
}

const HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";

fn leb(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A type by its index: signed, as the built-in ones have the negative numbers.
fn index(value: usize, out: &mut Vec<u8>) {
    let from = out.len();
    leb(value, out);
    let bits = (out.len() - from) * 7;
    if let Some(last) = out.last_mut()
        && value >> (bits - 1) & 1 == 1
    {
        *last |= 0x80;
        out.push(0);
    }
}

/// A component with one section.
fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut component = HEADER.to_vec();
    component.push(id);
    leb(body.len(), &mut component);
    component.extend(body);
    component
}

fn of(module: Module) -> Vec<u8> {
    section(1, &module.finish())
}

/// A module of functions without parameters.
fn functions(functions: impl Iterator<Item = Function>) -> Vec<u8> {
    let (mut types, mut kinds, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        CodeSection::new(),
    );
    types.ty().function([], []);
    for function in functions {
        kinds.function(0);
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types).section(&kinds).section(&code);
    of(module)
}

fn function(locals: u32, instructions: impl IntoIterator<Item = Instruction<'static>>) -> Function {
    let mut function = Function::new([(locals, ValType::I64)]);
    for instruction in instructions {
        function.instruction(&instruction);
    }
    function.instruction(&Instruction::End);
    function
}

fn many_functions() -> Vec<u8> {
    let one = function(1, [Instruction::LocalGet(0), Instruction::Drop]);
    functions(std::iter::repeat_n(one, 900_000))
}

fn many_types() -> Vec<u8> {
    let mut types = TypeSection::new();
    for _ in 0..1_000_001 {
        types.ty().function([], []);
    }
    let mut module = Module::new();
    module.section(&types);
    of(module)
}

/// Every local is alive around every loop.
fn many_locals() -> Vec<u8> {
    const LOCALS: u32 = 49_000;
    const LOOPS: usize = 500;
    let open = std::iter::repeat_n(Instruction::Loop(BlockType::Empty), LOOPS);
    let sets = (0..LOCALS).flat_map(|n| {
        [
            Instruction::LocalGet((n + 1) % LOCALS),
            Instruction::LocalSet(n),
        ]
    });
    let close = std::iter::repeat_n(
        [
            Instruction::I32Const(1),
            Instruction::BrIf(0),
            Instruction::End,
        ],
        LOOPS,
    );
    let body: Vec<_> = open.chain(sets).chain(close.flatten()).collect();
    functions(std::iter::once(function(LOCALS, body)))
}

/// Blocks that hand a thousand values on to each other.
fn many_parameters() -> Vec<u8> {
    const WIDTH: usize = 900;
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let wide = std::iter::repeat_n(ValType::I64, WIDTH);
    types.ty().function(wide.clone(), wide);
    let mut body = vec![Instruction::I64Const(1); WIDTH];
    for _ in 0..50_000 {
        body.extend([
            Instruction::Loop(BlockType::FunctionType(1)),
            Instruction::I32Const(0),
            Instruction::BrIf(0),
            Instruction::End,
        ]);
    }
    body.extend(vec![Instruction::Drop; WIDTH]);
    let (mut kinds, mut code) = (FunctionSection::new(), CodeSection::new());
    kinds.function(0);
    code.function(&function(0, body));
    let mut module = Module::new();
    module.section(&types).section(&kinds).section(&code);
    of(module)
}

/// Sums of which each is used again at the end: no register is ever free.
fn many_live_values() -> Vec<u8> {
    let one = |seed: i64| {
        let steps = (0..2_000).flat_map(|n| {
            [
                Instruction::LocalGet(n % 1_000),
                Instruction::I64Const(seed.wrapping_mul(i64::from(n) + 3)),
                Instruction::I64Mul,
                Instruction::LocalTee((n * 7 + 1) % 1_000),
                Instruction::LocalGet((n * 13 + 5) % 1_000),
                Instruction::I64Xor,
                Instruction::LocalSet((n * 3 + 2) % 1_000),
            ]
        });
        function(1_000, steps.collect::<Vec<_>>())
    };
    functions((0..400).map(one))
}

fn many_imports() -> Vec<u8> {
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    types.ty().function([], []);
    for n in 0..90_000 {
        imports.import("m", &n.to_string(), EntityType::Function(0));
    }
    let mut module = Module::new();
    module.section(&types).section(&imports);
    of(module)
}

fn many_exports() -> Vec<u8> {
    let (mut types, mut kinds, mut exports, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        ExportSection::new(),
        CodeSection::new(),
    );
    types.ty().function([], []);
    kinds.function(0);
    for n in 0..90_000 {
        exports.export(&n.to_string(), ExportKind::Func, 0);
    }
    code.function(&function(0, []));
    let mut module = Module::new();
    module
        .section(&types)
        .section(&kinds)
        .section(&exports)
        .section(&code);
    of(module)
}

fn deep_nesting() -> Vec<u8> {
    const DEPTH: usize = 200_000;
    let mut body = vec![Instruction::Block(BlockType::Empty); DEPTH];
    body.extend(vec![Instruction::End; DEPTH]);
    functions(std::iter::once(function(0, body)))
}

/// `list<list<list<...`
fn deep_types() -> Vec<u8> {
    let count = 200_000;
    let mut body = Vec::new();
    leb(count, &mut body);
    body.extend([0x70, 0x7d]); // list<u8>
    for n in 0..count - 1 {
        body.push(0x70);
        index(n, &mut body);
    }
    section(7, &body)
}

/// `tuple<t, t>` of `tuple<t, t>` of...: 2^60 fields.
fn wide_types() -> Vec<u8> {
    let count = 60;
    let mut body = Vec::new();
    leb(count, &mut body);
    body.extend([0x6f, 2, 0x7d, 0x7d]);
    for n in 0..count - 1 {
        body.extend([0x6f, 2]);
        index(n, &mut body);
        index(n, &mut body);
    }
    section(7, &body)
}

fn deep_components() -> Vec<u8> {
    let mut component = HEADER.to_vec();
    for _ in 0..2_000 {
        component = section(4, &component);
    }
    component
}

fn huge_br_table() -> Vec<u8> {
    const TARGETS: usize = 60_000;
    let one = |_| {
        let targets: Vec<u32> = (0..TARGETS).map(|n| (n % 1_000) as u32).collect();
        let mut function = Function::new([]);
        for _ in 0..1_000 {
            function.instruction(&Instruction::Block(BlockType::Empty));
        }
        for _ in 0..50 {
            function.instruction(&Instruction::I32Const(0));
            function.instruction(&Instruction::BrTable(targets.as_slice().into(), 0));
        }
        for _ in 0..=1_000 {
            function.instruction(&Instruction::End);
        }
        function
    };
    functions((0..3).map(one))
}

/// Larger than any that a toolchain writes.
fn huge_function() -> Vec<u8> {
    let body = vec![Instruction::Nop; 8_000_000];
    functions(std::iter::once(function(0, body)))
}

/// The value of a global as a sum of a million terms.
fn long_constant() -> Vec<u8> {
    let one = [0x42, 1]; // i64.const 1
    let mut value = one.to_vec();
    for _ in 0..1_000_000 {
        value.extend(one);
        value.push(0x7c); // i64.add
    }
    let mut globals = GlobalSection::new();
    let kind = GlobalType {
        val_type: ValType::I64,
        mutable: false,
        shared: false,
    };
    globals.global(kind, &ConstExpr::raw(value));
    let mut module = Module::new();
    module.section(&globals);
    of(module)
}

/// One module, instantiated more often than any guest needs.
fn many_instances() -> Vec<u8> {
    let mut component = section(1, &Module::new().finish());
    let mut body = Vec::new();
    leb(900, &mut body);
    for _ in 0..900 {
        body.extend([0, 0, 0]); // instantiate module 0 with nothing
    }
    component.push(2);
    leb(body.len(), &mut component);
    component.extend(body);
    component
}
