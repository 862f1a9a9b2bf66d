// swift-tools-version: 6.2

import PackageDescription

// Every target is compiled with the same rules from the first day on.
var rules: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
// Set by CI: our own targets only, so that a newer compiler keeps nobody from building Millrace.
if Context.environment["MILLRACE_WARNINGS_ARE_ERRORS"] == "1" {
    rules.append(.treatAllWarnings(as: .error))
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

let package = Package(
    name: "millrace",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Millrace", targets: ["Millrace"]),
        .library(name: "MillracePostgres", targets: ["MillracePostgres"]),
        .library(name: "MillraceEmbedded", targets: ["MillraceEmbedded"]),
        .library(name: "MillraceTesting", targets: ["MillraceTesting"]),
        .executable(name: "millrace", targets: ["MillraceCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibPQ",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]
        ),
        .target(
            name: "MillracePostgres",
            dependencies: ["CLibPQ", collections, heap, logging],
            swiftSettings: rules
        ),
        .target(
            name: "Millrace",
            dependencies: ["MillracePostgres", collections, crypto, lifecycle, logging, metrics],
            resources: [
                .embedInCode("Schema/Migrations"), .embedInCode("Schema/Functions"), .embedInCode("Schema/Queries"),
            ],
            swiftSettings: rules
        ),
        .target(
            name: "MillraceEmbedded",
            dependencies: [logging, subprocess],
            resources: [.embedInCode("Scripts/fetch_postgres.py")],
            swiftSettings: rules
        ),
        .executableTarget(
            name: "MillraceCLI",
            dependencies: [
                "Millrace", "MillraceEmbedded", "MillracePostgres", argumentParser, histogram, logging, subprocess,
                unixSignals,
            ],
            resources: [
                .embedInCode("Bench/Programs"), .embedInCode("Bench/SQL"), .embedInCode("Demo/SQL"),
                .embedInCode("Doctor/SQL"), .embedInCode("Stats/SQL"),
            ],
            swiftSettings: rules
        ),
        .target(
            name: "MillraceTesting",
            dependencies: ["Millrace", "MillraceEmbedded", "MillracePostgres", logging, subprocess],
            swiftSettings: rules
        ),
        .testTarget(
            name: "MillracePostgresTests",
            dependencies: ["MillraceEmbedded", "MillracePostgres", "MillraceTesting", logging],
            swiftSettings: rules
        ),
        .testTarget(
            name: "MillraceTests",
            dependencies: [
                "HandlerProcess", "Millrace", "MillraceEmbedded", "MillracePostgres", "MillraceTesting", crypto,
                logging,
                subprocess,
            ],
            exclude: ["Aggregate/fold_orders.py"],
            swiftSettings: rules
        ),
        .executableTarget(
            name: "HandlerProcess",
            dependencies: ["Millrace", "MillracePostgres", logging],
            path: "Tests/HandlerProcess",
            swiftSettings: rules
        ),
        .target(
            name: "ExampleStage",
            dependencies: ["Millrace", "MillraceEmbedded", "MillracePostgres", logging],
            path: "Examples/Stage",
            swiftSettings: rules
        ),
        .executableTarget(
            name: "Orders",
            dependencies: ["ExampleStage", "Millrace", "MillracePostgres", logging],
            path: "Examples/Orders",
            resources: [.embedInCode("SQL")],
            swiftSettings: rules
        ),
        .executableTarget(
            name: "Bank",
            dependencies: ["ExampleStage", "Millrace", "MillracePostgres", logging],
            path: "Examples/Bank",
            resources: [.embedInCode("SQL")],
            swiftSettings: rules
        ),
        .testTarget(
            name: "ExamplesTests",
            dependencies: ["Bank", "Millrace", "MillraceTesting", "Orders"],
            swiftSettings: rules
        ),
        .executableTarget(
            name: "EventCheckProgram",
            dependencies: ["Millrace"],
            path: "Tests/EventCheckProgram",
            swiftSettings: rules
        ),
        .executableTarget(
            name: "EmbeddedHolder",
            dependencies: ["MillraceEmbedded", "MillraceTesting", logging],
            path: "Tests/EmbeddedHolder",
            swiftSettings: rules
        ),
        .testTarget(
            name: "MillraceCLITests",
            dependencies: [
                "EventCheckProgram", "Millrace", "MillraceCLI", "MillracePostgres", "MillraceTesting", logging,
                subprocess,
            ],
            swiftSettings: rules
        ),
        .testTarget(
            name: "MillraceEmbeddedTests",
            dependencies: ["EmbeddedHolder", "MillraceEmbedded", "MillraceTesting", logging, subprocess],
            swiftSettings: rules
        ),
    ],
    swiftLanguageModes: [.v6]
)
