namespace Platform.Registry.Retention;

/// <summary>What a tenant keeps and for how long, what is held, and what was purged. Run by the owner role; every row is bound to its tenant by policy.</summary>
internal static class RetentionSchema
{
    public const string Sql =
        """
        create table if not exists registry.retention (
            tenant_id   text not null primary key,
            purge_days  int,             -- null keeps what is deleted for ever
            grace_hours int not null
        );

        create table if not exists registry.legal_holds (
            tenant_id text   not null,
            kind      text   not null check (kind in ('experiment', 'model')),
            name      text   collate "C" not null,
            reason    text   not null,
            held_by   text   not null,
            held_at   bigint not null,
            primary key (tenant_id, kind, name)
        );

        create table if not exists registry.retention_runs (
            tenant_id     text   not null,
            run_id        uuid   not null,
            asked_by      text,            -- null when it was its time
            started_at    bigint not null,
            ended_at      bigint,
            failure       text,
            experiments   bigint not null default 0,
            runs          bigint not null default 0,
            logged_models bigint not null default 0,
            artifacts     bigint not null default 0,
            blobs         bigint not null default 0,
            bytes         bigint not null default 0,
            waiting       bigint not null default 0,
            primary key (tenant_id, run_id)
        );
        create index if not exists retention_runs_by_start on registry.retention_runs (tenant_id, started_at desc);

        -- An experiment's number is not used again, because addresses of its artifacts may be written down somewhere.
        create table if not exists registry.experiment_numbers (
            tenant_id text   not null primary key,
            last      bigint not null
        );

        -- Whatever looks like a SHA-256 in any of the registry's documents: a document that comes to name another blob needs to say so nowhere. A training names the
        -- dataset it was made of by its hash, and that is no reason to keep the rows when the dataset is deleted. With the caller's rights, and so of the caller's tenant alone.
        create or replace function registry.hashes_in_documents() returns setof text language plpgsql stable as $do$
        declare place text;
        begin
            for place in select tablename from pg_tables where schemaname = 'registry' and tablename like 'mt\_doc\_%' loop
                return query execute format(
                    'select distinct (regexp_matches(regexp_replace(data::text, ''"datasetSha256": *"[0-9a-f]{64}"'', '''', ''g''), ''[0-9a-f]{64}'', ''g''))[1] from registry.%I where tenant_id = $1', place)
                    using current_setting('app.tenant_id', true);
            end loop;
        end $do$;
        grant execute on function registry.hashes_in_documents to platform_app;

        do $do$
        declare owned text;
        begin
            foreach owned in array array['retention', 'legal_holds', 'retention_runs', 'experiment_numbers'] loop
                execute format('alter table registry.%I enable row level security', owned);
                execute format('drop policy if exists tenant on registry.%I', owned);
                execute format($p$create policy tenant on registry.%I using (tenant_id = current_setting('app.tenant_id', true))$p$, owned);
                execute format('grant select, insert, update, delete on registry.%I to platform_app', owned);
            end loop;
        end $do$;
        """;
}
