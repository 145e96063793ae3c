using System.Reflection;
using Mono.Cecil;
using Platform.Kernel;

namespace Architecture.Tests;

/// <summary>Law 8: a module that puts blobs says which of them it still needs, or they are collected as what nobody names.</summary>
public sealed class Law8_BlobsAreNamed
{
    private static readonly string[] Putting = ["Platform.Kernel.IBlobStore::PutAsync", "Platform.Kernel.IBlobParts::JoinAsync"];

    [Fact]
    public void Whoever_puts_blobs_names_them() => House.ModuleAssemblies.Where(Puts).Where(a => !Names(a)).Select(a => a.GetName().Name!).ShouldHold();

    [Fact]
    public void Modules_that_put_blobs_are_found() => House.ModuleAssemblies.Count(Puts).ShouldBeGreaterThanOrEqualTo(2);

    [Fact]
    public void One_that_does_not_is_noticed() => (Puts(House.Broken.Assembly) && !Names(House.Broken.Assembly)).ShouldBeTrue();

    private static bool Names(Assembly assembly) => assembly.GetTypes().Any(t => t.IsClass && t.IsAssignableTo(typeof(IBlobNames)));

    private static bool Puts(Assembly assembly)
    {
        using var module = ModuleDefinition.ReadModule(assembly.Location);
        return module.GetTypes().SelectMany(t => t.Methods).Where(m => m.HasBody).SelectMany(m => m.Body.Instructions).Select(i => i.Operand).OfType<MethodReference>()
            .Any(call => Putting.Contains($"{call.DeclaringType.FullName}::{call.Name}"));
    }
}
