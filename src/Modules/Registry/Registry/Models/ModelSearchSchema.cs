namespace Platform.Registry.Models;

/// <summary>What models and versions are found by, as rows beside their documents: a search inside documents would read all of a tenant's. Triggers keep them in the
/// documents' own transactions, whatever writes those. Run by the owner role after the documents' tables are there.</summary>
internal static class ModelSearchSchema
{
    public const string Sql =
        """
        -- Microseconds since 1970 of a time as documents have it.
        create or replace function registry.searched_at(text) returns bigint language sql stable as $f$ select (extract(epoch from $1::timestamptz) * 1000000)::bigint $f$;

        do $do$
        begin
            if to_regclass('registry.searched_models') is not null then return; end if;
            create table registry.searched_models (
                tenant_id  text   not null,
                name       text   collate "C" not null,
                changed_at bigint not null,
                primary key (tenant_id, name)
            );
            create index searched_models_by_change on registry.searched_models (tenant_id, changed_at, name);
            create table registry.searched_versions (
                tenant_id  text    not null,
                name       text    collate "C" not null,
                version    integer not null,
                stage      text    collate "C" not null,
                run_id     text    collate "C",
                source     text    collate "C",
                added_at   bigint  not null,
                changed_at bigint  not null,
                primary key (tenant_id, name, version)
            );
            create index searched_versions_by_change on registry.searched_versions (tenant_id, changed_at desc, name, version desc);
            create index searched_versions_by_run on registry.searched_versions (tenant_id, run_id);
            create table registry.searched_tags (
                tenant_id text    not null,
                name      text    collate "C" not null,
                version   integer not null,  -- 0 has the model's own
                key       text    collate "C" not null,
                value     text    collate "C" not null,
                head      text    collate "C" not null generated always as (left(value, 200)) stored,
                primary key (tenant_id, name, version, key)
            );
            create index searched_tags_by_value on registry.searched_tags (tenant_id, key, head, name, version);

            -- What was there before. The documents' policies hold for their owner, too, who has no tenant.
            alter table registry.mt_doc_registeredmodel no force row level security;
            alter table registry.mt_doc_modelversion no force row level security;
            insert into registry.searched_models
                select tenant_id, substr(id, 7), registry.searched_at(coalesce(data ->> 'changedAt', data ->> 'registeredAt')) from registry.mt_doc_registeredmodel where data ->> 'deletedAt' is null;
            insert into registry.searched_versions
                select tenant_id, data ->> 'model', (data -> 'facts' ->> 'version')::int, coalesce(data ->> 'stage', 'None'), data -> 'facts' -> 'mlflow' ->> 'runId', data -> 'facts' -> 'mlflow' ->> 'source',
                    registry.searched_at(data ->> 'addedAt'), registry.searched_at(coalesce(data ->> 'changedAt', data ->> 'addedAt')) from registry.mt_doc_modelversion;
            insert into registry.searched_tags (tenant_id, name, version, key, value)
                select d.tenant_id, substr(d.id, 7), 0, t.key, t.value from registry.mt_doc_registeredmodel d, jsonb_each_text(d.data -> 'tags') t where d.data ->> 'deletedAt' is null
                union all select d.tenant_id, d.data ->> 'model', (d.data -> 'facts' ->> 'version')::int, t.key, t.value from registry.mt_doc_modelversion d, jsonb_each_text(d.data -> 'tags') t;
            alter table registry.mt_doc_registeredmodel force row level security;
            alter table registry.mt_doc_modelversion force row level security;
        end $do$;

        create or replace function registry.search_tags(text, text, integer, jsonb) returns void language sql as $f$
            delete from registry.searched_tags where tenant_id = $1 and name = $2 and version = $3;
            insert into registry.searched_tags (tenant_id, name, version, key, value) select $1, $2, $3, t.key, t.value from jsonb_each_text($4) t;
        $f$;

        create or replace function registry.search_model() returns trigger language plpgsql as $f$
        declare
            whose text := coalesce(new.tenant_id, old.tenant_id);
            called text := substr(coalesce(new.id, old.id), 7);
        begin
            if new.id is null or new.data ->> 'deletedAt' is not null then
                delete from registry.searched_models where tenant_id = whose and name = called;
                perform registry.search_tags(whose, called, 0, '{}');
                return null;
            end if;
            insert into registry.searched_models as had values (whose, called, registry.searched_at(coalesce(new.data ->> 'changedAt', new.data ->> 'registeredAt')))
                on conflict (tenant_id, name) do update set changed_at = excluded.changed_at where had.changed_at <> excluded.changed_at;
            if new.data -> 'tags' is distinct from old.data -> 'tags' or old.data ->> 'deletedAt' is not null then perform registry.search_tags(whose, called, 0, new.data -> 'tags'); end if;
            return null;
        end $f$;

        create or replace function registry.search_version() returns trigger language plpgsql as $f$
        declare
            whose text := coalesce(new.tenant_id, old.tenant_id);
            facts jsonb := coalesce(new.data, old.data) -> 'facts';
            called text := coalesce(new.data, old.data) ->> 'model';
            number integer := facts ->> 'version';
        begin
            if new.id is null then
                delete from registry.searched_versions where tenant_id = whose and name = called and version = number;
                perform registry.search_tags(whose, called, number, '{}');
                return null;
            end if;
            insert into registry.searched_versions values (whose, called, number, coalesce(new.data ->> 'stage', 'None'), facts -> 'mlflow' ->> 'runId', facts -> 'mlflow' ->> 'source',
                    registry.searched_at(new.data ->> 'addedAt'), registry.searched_at(coalesce(new.data ->> 'changedAt', new.data ->> 'addedAt')))
                on conflict (tenant_id, name, version) do update set stage = excluded.stage, run_id = excluded.run_id, source = excluded.source, added_at = excluded.added_at, changed_at = excluded.changed_at;
            if new.data -> 'tags' is distinct from old.data -> 'tags' then perform registry.search_tags(whose, called, number, new.data -> 'tags'); end if;
            return null;
        end $f$;

        create or replace trigger searched after insert or update or delete on registry.mt_doc_registeredmodel for each row execute function registry.search_model();
        create or replace trigger searched after insert or update or delete on registry.mt_doc_modelversion for each row execute function registry.search_version();

        do $do$
        declare owned text;
        begin
            foreach owned in array array['searched_models', 'searched_versions', 'searched_tags'] loop
                execute format('alter table registry.%I enable row level security', owned);
                execute format('drop policy if exists tenant on registry.%I', owned);
                execute format($p$create policy tenant on registry.%I using (tenant_id = current_setting('app.tenant_id', true))$p$, owned);
                execute format('grant select, insert, update, delete on registry.%I to platform_app', owned);
            end loop;
        end $do$;
        """;
}
